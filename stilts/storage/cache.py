"""Cache: a node's local copies of trees of object stores, and scratch folders for files that are made for them.

    copies/KEY/       a complete copy: `files/`, and `stamp.json` with their sizes and times
    filling/KEY/      a copy that is being fetched; `filling/KEY.bytes` has its final size
    scratch/STORE/    files that this node makes and that can be made again
    locks/            for each copy and scratch folder: `.fill` is locked while it is changed, `.use` while it is used

Invariants:
- A copy is renamed into `copies/` when it is complete and checked, so that what a killed process leaves is not used.
- One process fetches a copy, under the exclusive `.fill` lock; the other processes of the node wait for it.
- Locks are the kernel's (flock) and end with their process. What any process uses is never removed. A `Cache` uses
  everything that it has returned for as long as it exists. (filelock has no shared lock, which `.use` needs.)
- Before a copy is fetched, the least recently used ones are evicted until the new total keeps to the limit and leaves
  the reserve on the disk free.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from stilts.errors import StiltsError, sized
from stilts.os_errors import CACHE, DiskFull, NotWritable, explain, explained, is_full

SCRATCH_IDLE = 3600.0
"""Seconds after which a scratch folder that no process uses may be evicted."""

DEFAULT_FRACTION = 0.5
"""Default limit, as a fraction of the disk."""

RESERVE, RESERVE_FRACTION = 10e9, 0.1
"""Bytes that stay free on the disk whatever the limit is, or this fraction of the disk if that is less."""

_FILES, _STAMP = "files", "stamp.json"


class Cache:
    """The cache of this node, shared by its processes.

    Args:
        root: folder of the cache; by default `$STILTS_CACHE` or `~/.cache/stilts`.
        limit: largest total size in bytes; by default `$STILTS_CACHE_GB` or half of the disk.

    Raises:
        StiltsError: the limit is not a number.
        NotWritable: the folder cannot be written and locked.
        DiskFull: there is no room for it.
    """

    def __init__(self, root: Path | None = None, limit: float | None = None) -> None:
        self.root = root or Path(os.environ.get("STILTS_CACHE") or "~/.cache/stilts").expanduser().absolute()
        try:
            for name in ("copies", "filling", "scratch", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            os.close(self._open_locked("probe", fcntl.LOCK_SH))
        except OSError as error:
            if is_full(error):
                raise explain(error, "write", self.root, what=CACHE) or error from error
            raise NotWritable(
                f"the cache {self.root} cannot be written and locked: {error.strerror}; let STILTS_CACHE name a folder "
                "on a local disk that this user may write to"
            ) from error
        self.limit = _limit(self.root) if limit is None else limit
        self._uses: dict[str, int] = {}
        self._guard = threading.Lock()
        weakref.finalize(self, _close_all, self._uses)

    def copy(self, key: str, sizes: Mapping[str, int], fill: Callable[[Path], None]) -> Path:
        """Return the folder of a copy, fetched if it is missing or was changed. It is locked while this Cache exists.

        Args:
            key: determined by the content, so that a copy never changes.
            sizes: size of each file in bytes, by its path in the folder.
            fill: fetches the files into a folder and checks them. If it raises, nothing is kept.

        Raises:
            DiskFull: there is not enough room.
        """
        folder = self.root / "copies" / key
        with self._locked(f"{key}.fill"):
            if not _is_intact(folder, sizes):
                _discard(folder, self.root)
                self._fill(key, sizes, fill)
            self._use(key)
        os.utime(folder / _STAMP)
        return folder / _FILES

    def scratch(self, name: str) -> Path:
        """Return a scratch folder for locally made files, locked against eviction while this Cache exists.

        The root folder of a store, a name without a slash, is not locked: it only contains others.
        """
        folder = self.root / "scratch" / name
        if "/" in name:
            with self._locked(f"{_lock_name(name)}.fill"):
                self._use(_lock_name(name))
        with explained("write", folder, what=CACHE):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def idle(self) -> dict[Path, int]:
        """Folders that may be evicted unless they are in use, with their sizes; the least recently used first."""
        return {folder: _size(folder) for folder in self._oldest_first()}

    def evict(self, folder: Path) -> bool:
        """Remove a folder of `idle`; return False if it is in use."""
        with self._locked("room"):
            return self._evict(folder)

    def _fill(self, key: str, sizes: Mapping[str, int], fill: Callable[[Path], None]) -> None:
        part, note = self.root / "filling" / key, self.root / "filling" / f"{key}.bytes"
        shutil.rmtree(part, ignore_errors=True)
        need = sum(sizes.values())
        try:
            with explained("write", self.root, what=CACHE, need=need):
                self._make_room(need, note)
                (part / _FILES).mkdir(parents=True)
                fill(part / _FILES)
                (part / _STAMP).write_text(json.dumps(_stamp(part, sizes)))
                os.rename(part, self.root / "copies" / key)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            with contextlib.suppress(OSError):  # a disk that cannot be written has said so already
                note.unlink(missing_ok=True)

    def _make_room(self, need: int, note: Path) -> None:
        """Evict until `need` more bytes keep to the limit, then reserve them."""
        with self._locked("room"):
            self._clear_dead()
            excess = self._excess(need)
            for folder in self._oldest_first():
                if excess <= 0:
                    break
                if self._evict(folder):
                    excess = self._excess(need)
            if excess > 0:
                raise DiskFull(
                    f"the cache {self.root} has no room for {sized(need)}: {sized(excess)} too much for "
                    f"its limit of {sized(self.limit)} (STILTS_CACHE_GB) or for the disk, and the rest is in "
                    "use; raise the limit, or point STILTS_CACHE at a larger disk"
                )
            note.write_text(str(need))

    def _excess(self, need: int) -> float:
        """Bytes above the limit if `need` bytes are added."""
        coming = {note.stem: _number(note) for note in (self.root / "filling").glob("*.bytes")}
        there = sum(min(size, _size(self.root / "filling" / key)) for key, size in coming.items())
        held = _size(self.root / "copies") + _size(self.root / "scratch") + sum(coming.values())
        disk = shutil.disk_usage(self.root)
        free = disk.free - (sum(coming.values()) - there) - min(RESERVE, RESERVE_FRACTION * disk.total)
        return max(held + need - self.limit, need - free)

    def _oldest_first(self) -> list[Path]:
        """Folders that may be evicted: copies by their last use, and scratch folders that were not changed lately."""
        copies = [(_changed(folder / _STAMP), folder) for folder in (self.root / "copies").iterdir()]
        idle = [(_latest(folder), folder) for folder in _leaves(self.root / "scratch")]
        old = [(changed, folder) for changed, folder in idle if changed < time.time() - SCRATCH_IDLE]
        return [folder for _, folder in sorted(copies + old)]

    def _evict(self, folder: Path) -> bool:
        """Remove a folder, unless it or a scratch folder above it is in use."""
        names = [folder.name]
        if folder.is_relative_to(self.root / "scratch"):
            inside = folder.relative_to(self.root / "scratch")
            names = [_lock_name(part.as_posix()) for part in (inside, *inside.parents)]
        with contextlib.ExitStack() as stack:
            try:
                for name in names:
                    stack.enter_context(self._locked(f"{name}.fill", wait=False))
                    stack.enter_context(self._locked(f"{name}.use", wait=False))
            except BlockingIOError:
                return False
            _discard(folder, self.root)
            return True

    def _clear_dead(self) -> None:
        """Remove what was left by processes that were killed while they fetched or removed."""
        for path in (self.root / "filling").iterdir():
            with contextlib.suppress(BlockingIOError), self._locked(f"{path.stem}.fill", wait=False):
                _remove(path)
        for path in self.root.glob("gone-*"):
            _remove(path)

    def _use(self, name: str) -> None:
        with self._guard:
            if name not in self._uses:
                self._uses[name] = self._open_locked(f"{name}.use", fcntl.LOCK_SH)

    @contextlib.contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[None]:
        handle = self._open_locked(name, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            os.close(handle)

    def _open_locked(self, name: str, how: int) -> int:
        handle = os.open(self.root / "locks" / name, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, how)
        except BaseException:
            os.close(handle)
            raise
        return handle


def _limit(root: Path) -> float:
    given = os.environ.get("STILTS_CACHE_GB")
    if not given:
        return DEFAULT_FRACTION * shutil.disk_usage(root).total
    try:
        limit = float(given) * 1e9
    except ValueError:
        limit = -1.0
    if not limit >= 0:
        raise StiltsError(f"STILTS_CACHE_GB is {given!r}: give the cache's limit in gigabytes, as 200")
    return limit


def _is_intact(folder: Path, sizes: Mapping[str, int]) -> bool:
    """Whether a copy exists and its files have not changed since they were checked."""
    try:
        return json.loads((folder / _STAMP).read_text()) == _stamp(folder, sizes)
    except (OSError, ValueError):
        return False


def _stamp(folder: Path, sizes: Mapping[str, int]) -> dict[str, list[int]]:
    stats = {name: (folder / _FILES / name).stat() for name in sizes}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _discard(folder: Path, root: Path) -> None:
    """Rename a folder away, then remove it, so that a kill in between does not leave an incomplete copy."""
    gone = root / f"gone-{uuid.uuid4().hex[:12]}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, gone)
        _remove(gone)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _leaves(folder: Path) -> Iterator[Path]:
    """Folders that hold files themselves."""
    for name, _, files in os.walk(folder):
        if files:
            yield Path(name)


def _size(path: Path) -> int:
    return sum(_bytes(os.path.join(name, file)) for name, _, files in os.walk(path) for file in files)


def _bytes(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _latest(folder: Path) -> float:
    return max((_changed(path) for path in (folder, *folder.iterdir())), default=0.0)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _number(path: Path) -> int:
    try:
        return int(path.read_text() or 0)
    except (FileNotFoundError, ValueError):
        return 0


def _lock_name(name: str) -> str:
    return f"scratch-{hashlib.sha256(name.encode()).hexdigest()[:24]}"


def _close_all(handles: dict[str, int]) -> None:
    for handle in handles.values():
        os.close(handle)
    handles.clear()
