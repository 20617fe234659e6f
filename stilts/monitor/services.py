"""Checks of what runs reach over the network: the store, the cluster, the study's database and the hub."""

import contextlib
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from stilts.errors import sized
from stilts.experiment.secrets import redact
from stilts.monitor.finding import Finding, State
from stilts.storage.cache import Cache
from stilts.storage.local import LocalStore
from stilts.storage.open import local_folder, open_store
from stilts.storage.protocol import Store, Unreachable

LOW_DISK = 20e9
SKEW_SECONDS = 5.0
"""Difference of clocks in seconds above which the ages that `status` shows are misleading. No work is lost by it."""
HUB_SECONDS = 10.0
_SET_CLOCKS = "synchronise the clocks (chrony or systemd-timesyncd)"


def store_findings(uri: str) -> Iterator[Finding]:
    """Perform the operations that a run needs, compare the clocks, and leave nothing behind."""
    folder = local_folder(uri)
    if folder is not None and not (root := folder.expanduser().absolute()).exists():
        yield from _absent(root)
        return
    yield from _tests(open_store(uri))


def _tests(store: Store) -> Iterator[Finding]:
    with _removed(store, f"doctor/{uuid.uuid4().hex}") as place:
        try:
            store.write(f"{place}/file", b"written by stilts doctor")
        except Unreachable:
            raise
        except Exception as error:
            list(store.list("."))  # raises if it cannot even be read
            yield Finding(
                "store",
                "warning",
                f"{store.uri}: it can be read and not written ({redact(str(error))}): plan, status, collect and "
                "report work, and run does not",
                "give this user or role permission to write, or use another store",
            )
            return
        yield _tried(store, place)
        yield _clock(store, place)


def _absent(root: Path) -> Iterator[Finding]:
    """Test a folder beside the store, which is not made before it is needed."""
    parent = next(folder for folder in root.parents if folder.exists())
    if not os.access(parent, os.W_OK):
        remedy = "give this user permission to write, or use another store"
        yield Finding("store", "failed", f"{root} does not exist, and {parent} cannot be written", remedy)
        return
    with tempfile.TemporaryDirectory(dir=parent, prefix=".stilts-doctor-") as folder:
        for found in _tests(LocalStore(Path(folder))):
            yield replace(found, found=f"{root} does not exist yet; in {found.found}")


@contextmanager
def _removed(store: Store, place: str) -> Iterator[str]:
    """A place in a store, which is removed at the end together with the folder around it if that is empty."""
    try:
        yield place
    finally:
        with contextlib.suppress(Exception):
            store.remove(place)
        if isinstance(store, LocalStore):
            with contextlib.suppress(OSError):
                (store.root / place).parent.rmdir()


def _tried(store: Store, place: str) -> Finding:
    """Read what was written, create exclusively, list and remove."""
    remedy = "use another file system or server: this one does not do what a store needs"
    if store.read(f"{place}/file") != b"written by stilts doctor":
        return Finding("store", "failed", f"{store.uri}: what was read is not what was written", remedy)
    if store.create(f"{place}/file", b"") or not store.create(f"{place}/claim", b""):
        return Finding(
            "store", "failed", f"{store.uri}: exclusive creation does not work; two drivers could clash", remedy
        )
    if list(store.list(place)) != ["claim", "file"]:
        return Finding("store", "failed", f"{store.uri}: what was written is not listed", remedy)
    store.remove(f"{place}/claim")
    if list(store.list(place)) != ["file"]:
        return Finding("store", "failed", f"{store.uri}: what was removed is still there", remedy)
    return Finding("store", "ok", f"{store.uri}: wrote, read, leased, listed and removed a file")


def _clock(store: Store, place: str) -> Finding:
    """Compare the time at which the store says that a file was written with this machine's clock."""
    before = time.time()
    store.write(f"{place}/file", b"now")
    after = time.time()
    measured = store.measure(f"{place}/file")
    if measured is None:
        return Finding("clock", "warning", f"{store.uri} does not tell when a file was written", _SET_CLOCKS)
    ahead = max(0.0, measured.modified - after) or min(0.0, measured.modified + 1.0 - before)  # it may be whole seconds
    return _skew("clock", {"the store": ahead})


def _skew(check: str, ahead: dict[str, float]) -> Finding:
    far = {name: seconds for name, seconds in ahead.items() if abs(seconds) > SKEW_SECONDS}
    if not far:
        most = max(map(abs, ahead.values()), default=0.0)
        return Finding(check, "ok", f"{', '.join(ahead)}: within {max(1.0, most):.0f} s of this machine")
    sides = {name: "ahead of" if seconds > 0 else "behind" for name, seconds in far.items()}
    said = ", ".join(f"{name} {abs(seconds):.0f} s {sides[name]} this machine" for name, seconds in far.items())
    return Finding(check, "warning", f"{said}: ages and times that are shown are wrong by that much", _SET_CLOCKS)


def disk(uri: str) -> Finding:
    """Check the free space where a run writes: on the store's disk or, for a bucket, in this node's cache."""
    folder = local_folder(uri)
    if folder is None:
        cache = Cache()
        free = min(shutil.disk_usage(cache.root).free, cache.limit)
        found = f"{sized(shutil.disk_usage(cache.root).free)} free at {cache.root}, of which the cache may take "
        found += f"{sized(cache.limit)} (STILTS_CACHE, STILTS_CACHE_GB)"
        remedy = "set STILTS_CACHE to a folder on a larger disk, or raise STILTS_CACHE_GB"
        return Finding("cache", *_enough(free, found, remedy))
    folder = folder.expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    remedy = "free some space, or use a store on a larger disk; a run says how much it needs before it starts"
    return Finding("disk", *_enough(free, f"{sized(free)} free at {folder}", remedy))


def _enough(free: float, found: str, remedy: str) -> tuple[State, str, str]:
    return ("ok", found, "") if free > LOW_DISK else ("warning", found, remedy)


def ray_findings(address: str | None) -> Iterator[Finding]:
    """Connect to the cluster; compare its clocks and test the ports between its nodes."""
    if not address:
        yield Finding("Ray", "ok", "no RAY_ADDRESS: each run starts a local Ray of its own")
        return
    from stilts.run.cluster.probe import examine_cluster

    found = examine_cluster()
    cpus, gpus = found.resources.get("CPU", 0), found.resources.get("GPU", 0)
    if found.silent:
        remedy = "look at these nodes with `ray status`; runs do not wait for them"
        yield Finding("Ray", "warning", f"{address}: no answer from {', '.join(found.silent)}", remedy)
    else:
        yield Finding("Ray", "ok", f"{address}: {cpus:.0f} CPUs, {gpus:.0f} GPUs, {len(found.clocks)} nodes")
    yield _skew("cluster clocks", {name: s for name, s in found.clocks.items() if abs(s) > found.error} or found.clocks)
    if found.blocked:
        pairs = ", ".join(f"{one} to {other}" for one, other in found.blocked)
        remedy = "open all ports between the nodes: ranks of one trial and Ray's own processes choose free ones"
        yield Finding("cluster ports", "failed", f"no connection from {pairs}", remedy)
    elif len(found.clocks) > 1:
        yield Finding("cluster ports", "ok", "the nodes reach free ports of each other")


def study(url: str) -> Finding:
    """Connect to the database of a study, write a study of its own, read it and remove it."""
    from optuna.study import StudyDirection

    from stilts.search.database import open_database

    place = redact(url)
    if url.startswith("sqlite:///") and not (file := Path(url.removeprefix("sqlite:///").partition("?")[0])).exists():
        parent = next(folder for folder in file.absolute().parents if folder.exists())
        if os.access(parent, os.W_OK):
            return Finding("study", "ok", f"{place} does not exist yet; it can be made")
        return Finding("study", "failed", f"{place}: {parent} cannot be written", "give this user permission to write")
    storage, name = open_database(url), f"stilts-doctor-{uuid.uuid4().hex}"
    made = storage.create_new_study([StudyDirection.MAXIMIZE], name)
    try:
        if storage.get_study_name_from_id(made) != name:
            return Finding("study", "failed", f"{place}: what was read is not what was written", "use another database")
    finally:
        storage.delete_study(made)
    return Finding("study", "ok", f"{place}: connected, wrote, read and removed a study")


def hub() -> Finding:
    """Whether the Hugging Face hub answers, from which models and data come that are not in the cache."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return Finding("hub", "ok", "HF_HUB_OFFLINE is set: models and data come from the cache of this machine alone")
    try:
        urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=HUB_SECONDS).close()
    except urllib.error.HTTPError:
        pass  # it answers
    except OSError as error:
        return Finding(
            "hub",
            "warning",
            f"{constants.ENDPOINT} does not answer: {getattr(error, 'reason', None) or error}",
            "check the network, the proxy (HTTPS_PROXY) and HF_ENDPOINT; with HF_HUB_OFFLINE=1 only the cache is used",
        )
    return Finding("hub", "ok", f"{constants.ENDPOINT} answers")
