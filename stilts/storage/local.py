"""LocalStore: artifacts in a directory of this machine or of a shared file system.

A file or tree is written beside its target, as `.aside-*`, and renamed, which is atomic. `create` makes a hard link,
which fails if the target exists, on NFS, too.

Files that a killed writer leaves as `.aside-*` are never listed. Those of `put_tree` may be large, so it removes the
ones in its folder that have not been written to for `STALE_SECONDS`.
"""

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from stilts.errors import StiltsError
from stilts.os_errors import explained
from stilts.storage.protocol import Corrupt, Fence, Manifest, Measure, Unreachable, check_names, check_path
from stilts.storage.verified import PREFIX, digests, forget, remember_written, settled_states

STALE_SECONDS = 600.0
"""A writer that has not written anything for so long is considered dead."""

STORE = "the store"
RESULTS = "the results folder"
"""What a `LocalStore` is, for messages, that holds tables and figures."""

_CHUNK = 1 << 20
_ASIDE = ".aside-"
_ORPHAN = re.compile(r"\.(?:aside|generated|seen)-.+|\..+\.(?:arrow|json)-\w+")
"""Temporary names of this store, of the generated corpus, of the cluster's check of the store, and of tables."""
_AWAY = (
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
)
"""Errors of a shared file system whose server does not answer; a hard mount waits instead."""


class LocalStore:
    """See `Store`. Creates its directory on first use.

    Args:
        what: what the directory is, for messages. Results are written in the same way as a store.

    Raises:
        StiltsError: the directory cannot be created, read or written, or the disk is full.
        Unreachable: its file system is shared, and its server does not answer.
    """

    def __init__(self, root: Path, what: str = STORE) -> None:
        self.root = root.expanduser().absolute()
        self.uri = str(self.root)
        self._what = what

    def read(self, path: str) -> bytes | None:
        with self._explained("read", self._at(path)):
            try:
                return (self._at(path)).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, path: str, content: bytes, fence: Fence | None = None) -> None:
        with self._writing(path, len(content)) as aside:
            _write_synced(aside, content)
            if fence is not None:
                fence()
            os.replace(aside, self._at(path))
            sync_folder(aside.parent)

    def create(self, path: str, content: bytes) -> bool:
        with self._writing(path, len(content)) as aside:
            _write_synced(aside, content)
            try:
                os.link(aside, self._at(path))
            except FileExistsError:
                # NFS may repeat a request whose answer was lost. The link is ours if the file has two.
                if aside.stat().st_nlink == 1:
                    return False
            sync_folder(aside.parent)
            return True

    def read_version(self, path: str) -> tuple[bytes, str] | None:
        content = self.read(path)
        return None if content is None else (content, _version(content))

    def replace(self, path: str, content: bytes, version: str) -> str | None:
        with self._writing(path, len(content)) as aside:
            _write_synced(aside, content)
            found = self.read(path)
            if found is None or _version(found) != version:
                return None
            os.replace(aside, self._at(path))
            sync_folder(aside.parent)
        return _version(content)

    def list(self, folder: str) -> Iterator[str]:
        with self._explained("read", self._at(folder)):
            try:
                names = os.listdir(self._at(folder))
            except (FileNotFoundError, NotADirectoryError):
                return
        yield from sorted(name for name in names if not name.startswith((_ASIDE, PREFIX)))

    def remove(self, path: str, fence: Fence | None = None) -> None:
        target = self._at(path)
        with self._explained("remove", target):
            if not os.path.lexists(target):
                return
            aside = _set_aside(target)
            if fence is not None:
                _let_go(aside, target, fence)
            if aside.is_dir() and not aside.is_symlink():
                forget(target)
                shutil.rmtree(aside, ignore_errors=True)
            else:
                aside.unlink(missing_ok=True)

    def measure(self, path: str) -> Measure | None:
        target = self._at(path)
        with self._explained("read", target):
            found = list(_stats(target))
        return Measure(sum(f.st_size for f in found), max(f.st_mtime for f in found)) if found else None

    def orphans(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self.root):
            for name in sorted([*folders, *files]):
                path = Path(folder, name)
                if _ORPHAN.fullmatch(name) and not path.is_symlink() and time.time() - _latest(path) > STALE_SECONDS:
                    yield path.relative_to(self.root).as_posix()
            folders[:] = [name for name in folders if not _ORPHAN.fullmatch(name)]

    def put_tree(self, source: Path, path: str, fence: Fence | None = None) -> Manifest:
        with self._writing(path, sum(found.st_size for found in _stats(source))) as aside:
            _clear_stale(aside.parent)
            manifest = _copy_tree(source, aside)
            forget(self._at(path))
            states = settled_states(aside, manifest)
            if fence is not None:
                fence()
            _replace_tree(aside, self._at(path))
            if self._what == STORE:  # beside other folders, such as a submission, nothing of stilts stays
                remember_written(self._at(path), manifest, states)
            return manifest

    def has_tree(self, path: str, manifest: Manifest) -> bool:
        try:
            self.fetch_tree(path, manifest)
        except Corrupt:
            return False
        return True

    def fetch_tree(self, path: str, manifest: Manifest) -> Path:
        check_names(manifest)
        folder = self._at(path)
        self._check_sizes(folder, manifest)
        with self._explained("read", folder):
            found = digests(folder, list(manifest))
        for name, expected in manifest.items():
            if found[name] != (expected["bytes"], expected["sha256"]):
                raise _damaged(folder / name, missing=found[name] is None)
        if manifest:
            _refuse_strangers(folder, manifest)
        return folder

    def scratch(self, path: str) -> Path:
        folder = self._at(path)
        with self._explained("write", folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def publish(self, path: str) -> None:
        if not self._at(path).exists():
            raise StiltsError(f"{self._at(path)} cannot be published: nothing is there")

    def obtain(self, path: str) -> Path:
        if not self._at(path).exists():
            raise Corrupt(f"{self._at(path)} is missing; run the experiment again to rebuild it")
        return self._at(path)

    def _at(self, path: str) -> Path:
        return self.root / check_path(path)

    @contextlib.contextmanager
    def _writing(self, path: str, need: int | None = None) -> Iterator[Path]:
        """Give a free name beside the target, and remove what is there at the end. `need` are bytes to be written."""
        target = self._at(path)
        aside = _aside(target)
        with self._explained("write", target, need):
            _make_folder(target.parent)
            try:
                yield aside
            finally:
                with contextlib.suppress(OSError):  # the folder may be one that cannot be written
                    if aside.is_dir():
                        shutil.rmtree(aside, ignore_errors=True)
                    else:
                        aside.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self, act: str, target: Path, need: int | None = None) -> Iterator[None]:
        with explained(act, target, what=self._what, need=need):
            try:
                yield
            except OSError as error:
                if error.errno in _AWAY:
                    raise Unreachable(
                        f"the file system of {self._what} does not answer ({act} {target}: {error.strerror})"
                    ) from error
                raise

    def _check_sizes(self, folder: Path, manifest: Manifest) -> None:
        """Refuse a tree of which a file is missing or has another size, before anything is hashed."""
        for name, expected in manifest.items():
            file = folder / name
            with self._explained("read", file):
                try:
                    size = file.stat().st_size
                except (FileNotFoundError, NotADirectoryError):
                    raise _damaged(file, missing=True) from None
            if size != expected["bytes"]:
                raise _damaged(file, missing=False)


def _aside(target: Path) -> Path:
    return target.parent / f"{_ASIDE}{uuid.uuid4().hex[:12]}"


def _set_aside(folder: Path) -> Path:
    aside = _aside(folder)
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, aside)
    return aside


def _let_go(aside: Path, target: Path, fence: Fence) -> None:
    """Ask whether what was moved away may go; if not, move it back, unless something new is there."""
    try:
        fence()
    except BaseException:
        if not os.path.lexists(target):
            with contextlib.suppress(FileNotFoundError):
                os.rename(aside, target)
        raise


def _replace_tree(new: Path, target: Path) -> None:
    """Rename a folder to the target, after moving away what is there. Between the two renames, nothing is there."""
    old = []
    while True:
        try:
            os.rename(new, target)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            old.append(_set_aside(target))
    sync_folder(target.parent)
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)


def _damaged(file: Path, *, missing: bool) -> Corrupt:
    if missing:
        return Corrupt(f"{file} is missing; run the experiment again to rebuild it")
    return Corrupt(f"{file} is not what was written (its digest differs); run again to rebuild it")


def _refuse_strangers(folder: Path, manifest: Manifest) -> None:
    """Refuse files that the manifest does not name: one might be a pickle that runs code when it is loaded."""
    for file in folder.rglob("*"):
        # NFS keeps a removed file that is still open under such a name.
        if (
            not file.is_dir()
            and not file.name.startswith(".nfs")
            and file.relative_to(folder).as_posix() not in manifest
        ):
            raise Corrupt(f"{file} is not in the record of what was written there; look where it is from and remove it")


def _clear_stale(folder: Path) -> None:
    for aside in folder.glob(f"{_ASIDE}*/"):
        if time.time() - _latest(aside) > STALE_SECONDS:
            shutil.rmtree(aside, ignore_errors=True)


def _latest(path: Path) -> float:
    """Time of the last write to a file or to anything in a folder; now, if it vanishes meanwhile."""
    return max((found.st_mtime for found in _stats(path, folders=True)), default=time.time())


def _stats(path: Path, *, folders: bool = False) -> Iterator[os.stat_result]:
    """Status of a file, or of all files in a folder. Links are not followed."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            yield found
            return
        if folders:
            yield found
        for name in os.listdir(path):
            yield from _stats(path / name, folders=folders)


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents durably."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _copy_tree(source: Path, target: Path) -> Manifest:
    target.mkdir()
    manifest = {}
    for item in sorted(source.rglob("*")):
        name = item.relative_to(source).as_posix()
        if item.is_dir():
            (target / name).mkdir()
        else:
            manifest[name] = _copy_synced(item, target / name)
    for folder in [target, *(item for item in target.rglob("*") if item.is_dir())]:
        sync_folder(folder)
    return manifest


def _copy_synced(source: Path, target: Path) -> dict[str, int | str]:
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return {"bytes": size, "sha256": digest.hexdigest()}


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sync_tree(folder: Path) -> None:
    """Make the files of a folder durable, and their names in it."""
    for item in folder.iterdir():
        with item.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
