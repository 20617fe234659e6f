"""LocalStore: artifacts in a directory of this machine or of a shared file system.

Atomicity comes from writing beside the target and renaming; exclusivity from hard links, which NFS honours too.
"""

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stilts.errors import StiltsError
from stilts.store.protocol import Corrupt, Manifest

_CHUNK = 1 << 20
_ASIDE = ".aside-"


class LocalStore:
    """See `Store`. Creates its directory on first use.

    Raises:
        StiltsError: the directory cannot be created or written, or the disk is full.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.uri = str(self.root)

    def read(self, path: str) -> bytes | None:
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, path: str, content: bytes) -> None:
        with self._writing(path) as aside:
            _write_synced(aside, content)
            os.replace(aside, self.root / path)
            _sync_folder((self.root / path).parent)

    def create(self, path: str, content: bytes) -> bool:
        with self._writing(path) as aside:
            _write_synced(aside, content)
            try:
                os.link(aside, self.root / path)
            except FileExistsError:
                return False
            _sync_folder((self.root / path).parent)
            return True

    def list(self, folder: str) -> Iterator[str]:
        try:
            with os.scandir(self.root / folder) as entries:
                names = sorted(entry.name for entry in entries if not entry.name.startswith(_ASIDE))
        except (FileNotFoundError, NotADirectoryError):
            return
        yield from names

    def remove(self, path: str) -> None:
        target = self.root / path
        if not target.is_dir():
            target.unlink(missing_ok=True)
            return
        aside = self._aside(target)
        try:
            os.replace(target, aside)
        except FileNotFoundError:
            return
        shutil.rmtree(aside, ignore_errors=True)

    def put_tree(self, source: Path, path: str) -> Manifest:
        with self._writing(path) as aside:
            manifest = {}
            for file in sorted(p for p in source.rglob("*") if p.is_file()):
                name = file.relative_to(source).as_posix()
                manifest[name] = _copy_synced(file, aside / name)
            self.remove(path)
            os.replace(aside, self.root / path)
            _sync_folder((self.root / path).parent)
            return manifest

    def fetch_tree(self, path: str, manifest: Manifest) -> Path:
        folder = self.root / path
        for name, expected in manifest.items():
            file = folder / name
            if not file.is_file():
                raise Corrupt(f"{file} is missing; run the experiment again to rebuild it")
            if file.stat().st_size != expected["bytes"] or _sha256(file) != expected["sha256"]:
                raise Corrupt(f"{file} is not what was written (its digest differs); run again to rebuild it")
        return folder

    def scratch(self, path: str) -> Path:
        folder = self.root / path
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _aside(self, target: Path) -> Path:
        return target.parent / f"{_ASIDE}{uuid.uuid4().hex[:12]}"

    @contextmanager
    def _writing(self, path: str) -> Iterator[Path]:
        """A free name beside the target; gone afterwards whatever happened."""
        target = self.root / path
        aside = self._aside(target)
        with _explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield aside
            finally:
                if aside.is_dir():
                    shutil.rmtree(aside, ignore_errors=True)
                else:
                    aside.unlink(missing_ok=True)


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StiltsError(
                f"the disk of the store is full (writing {target}); nothing that was stored is lost: free some space "
                "and run the same command again"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise StiltsError(f"cannot write to the store at {target}: {error.strerror}") from error
        raise


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _copy_synced(source: Path, target: Path) -> dict[str, int | str]:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return {"bytes": size, "sha256": digest.hexdigest()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
