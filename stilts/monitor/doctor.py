"""Checks whether this machine can run experiments. Each check reports what it found and what to do about it."""

import os
import shutil
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from stilts.errors import StiltsError
from stilts.experiment.secrets import redact
from stilts.storage.cache import Cache
from stilts.storage.open import local_folder, open_store

_PACKAGES = ("stilts", "ray", "torch", "transformers", "datasets", "deepspeed", "pyarrow", "optuna")
_LOW_DISK = 20e9
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: name of the check.
        state: `ok`, `warning` (runs work, but with limits) or `failed` (runs will not work).
        found: what was found, and what to do about it.
    """

    check: str
    state: Literal["ok", "warning", "failed"]
    found: str


def diagnose(store: str, ray_address: str | None) -> list[Finding]:
    """Check package versions, GPUs, DeepSpeed's ops, the store, the disk and Ray.

    Args:
        store: URI of the store that experiments write to.
        ray_address: address of the cluster to connect to; None if runs start a local Ray.
    """
    checks: list[tuple[str, Callable[[], Finding]]] = [
        *((package, lambda package=package: _version(package)) for package in _PACKAGES),
        ("GPUs", _gpus),
        ("DeepSpeed ops", _ops),
        ("store", lambda: _store(store)),
        ("disk", lambda: _disk(store)),
        ("Ray", lambda: _ray(ray_address)),
    ]
    return [_guarded(name, check) for name, check in checks]


def to_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """Convert the findings to plain JSON types."""
    return [asdict(finding) for finding in findings]


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except StiltsError as error:
        return Finding(name, "failed", redact(str(error)))
    except Exception as error:  # a check that raises is reported, and the other checks still run
        return Finding(name, "failed", redact(f"{type(error).__name__}: {error}"))


def _version(package: str) -> Finding:
    try:
        return Finding(package, "ok", version(package))
    except PackageNotFoundError:
        return Finding(package, "failed", "not installed; run pip install stilts again")


def _gpus() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("GPUs", "warning", "none: stages train on the CPU, which serves small models only")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: set recipe.precision: fp32"
    return Finding("GPUs", "ok", f"{len(names)} x {names[0]}, {bf16}, NCCL {torch.cuda.nccl.version()}")


def _ops() -> Finding:
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # otherwise DeepSpeed warns that it found no accelerator
    import deepspeed
    from deepspeed.git_version_info import installed_ops

    compatible = [name for name, works in deepspeed.ops.__compatible_ops__.items() if works]
    installed = [name for name, there in installed_ops.items() if there]
    found = f"prebuilt: {', '.join(installed) or 'none'}; can be built here: {len(compatible)}"
    return Finding("DeepSpeed ops", "ok", f"{found} (none is required)")


def _store(uri: str) -> Finding:
    """Try the store in a thread, and report a failure if it does not answer within _ANSWER_SECONDS.

    Requests to a store are retried for minutes, which is too long for a person who waits for this check.
    """
    found: list[Finding] = []
    thread = threading.Thread(target=lambda: found.append(_guarded("store", lambda: _tried(uri))), daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)
    if found:
        return found[0]
    return Finding(
        "store",
        "failed",
        f"{uri}: no answer in {_ANSWER_SECONDS:.0f} s; check the endpoint, the bucket's region and the network",
    )


def _tried(uri: str) -> Finding:
    """Perform the operations that a run needs: write, read, create exclusively, list and remove."""
    store = open_store(uri)
    folder, name, content = f"doctor/{uuid.uuid4().hex}", "file", b"written by stilts doctor"
    path = f"{folder}/{name}"
    try:
        store.write(path, content)
        if store.read(path) != content:
            return Finding("store", "failed", f"{store.uri}: what was read is not what was written")
        if store.create(path, b"") or not store.create(f"{folder}/claim", b""):
            return Finding("store", "failed", f"{store.uri}: exclusive creation does not work; two drivers could clash")
        if list(store.list(folder)) != ["claim", name]:
            return Finding("store", "failed", f"{store.uri}: what was written is not listed")
    finally:
        store.remove(folder)
    if list(store.list(folder)):
        return Finding("store", "failed", f"{store.uri}: what was removed is still there; {folder} can go")
    return Finding("store", "ok", f"{store.uri}: wrote, read, leased, listed and removed a file")


def _disk(uri: str) -> Finding:
    """Check the free space where a run writes: on the store's disk or, for a bucket, in this node's cache."""
    folder = local_folder(uri)
    if folder is None:
        cache = Cache()
        free = shutil.disk_usage(cache.root).free
        found = f"{free / 1e9:.0f} GB free at {cache.root}, of which the cache may take {cache.limit / 1e9:.0f} GB"
        return Finding("cache", _enough(min(free, cache.limit)), f"{found} (STILTS_CACHE, STILTS_CACHE_GB)")
    folder = folder.expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding("disk", _enough(free), f"{free / 1e9:.0f} GB free at {folder}")


def _enough(free: float) -> Literal["ok", "warning"]:
    return "ok" if free > _LOW_DISK else "warning"


def _ray(address: str | None) -> Finding:
    if not address:
        return Finding("Ray", "ok", "no RAY_ADDRESS: each run starts a local Ray of its own")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        with socket.create_connection((host, int(port)), timeout=5):
            pass
    from stilts.run.cluster.connect import resources_of

    resources = resources_of(address)
    return Finding("Ray", "ok", f"{address}: {resources.get('CPU', 0):.0f} CPUs, {resources.get('GPU', 0):.0f} GPUs")
