"""Digests of files that were read in full, remembered so that a large file is hashed once per content.

Beside a tree `NAME` of a local store there is a hidden file `.verified-NAME.json`: for each file of the tree its size,
time of modification, time of change and inode, and the SHA-256 that was computed when it had them. All machines that
share the store use it. Where it cannot be written, because the store is read-only or its disk is full, the digests are
remembered by this process.

A file with the same four numbers counts as unchanged. The kernel sets the time of change itself, so a file whose time
of modification was set back by hand is hashed anew. These changes are not noticed: bytes that the disk corrupts,
changes made below the file system, and changes within the same tick of its clock. Because of the last, a digest is
remembered only if the file was last changed before the tick in which the hashing began. Without the hidden file, every
byte is read again.

A writer remembers the digests of what it has written itself, so that the first reader does not read it in full either.
"""

import hashlib
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stilts.storage.protocol import Manifest

PREFIX = ".verified-"
"""Beginning of the names of the files in which digests are remembered."""

THREADS = 4
"""Files that are hashed at a time. hashlib releases the interpreter's lock."""

_TICK, _COARSE_TICK = 0.05, 2.0
"""Seconds in which two changes can get the same time: by the kernel's clock, and on a file system of whole seconds."""

_State = list[int]
_Digests = dict[str, tuple[_State, str]]

_here: dict[Path, _Digests] = {}
"""Digests that this process knows, by tree."""
_guard = threading.Lock()


def digests(folder: Path, names: list[str]) -> dict[str, tuple[int, str] | None]:
    """Return size and SHA-256 of files of a tree; None for one that is missing.

    Args:
        names: paths relative to the folder.

    Raises:
        OSError: a file cannot be read.
    """
    known = _known(folder)

    def one(name: str) -> tuple[_State, str, bool] | None:
        return _digest(folder / name, known.get(name))

    if len(names) < 2:
        found = dict(zip(names, map(one, names), strict=True))
    else:
        with ThreadPoolExecutor(THREADS) as threads:
            found = dict(zip(names, threads.map(one, names), strict=True))
    settled = {name: (one[0], one[1]) for name, one in found.items() if one is not None and one[2]}
    if not settled.items() <= known.items():
        _remember(folder, known | settled)
    return {name: one and (one[0][0], one[1]) for name, one in found.items()}


def settled_states(folder: Path, manifest: Manifest) -> dict[str, _State]:
    """States of files that this process has just written, without those that changed within the last tick.

    Taken while the files have a name that nobody else knows, they are those of the content that was written.
    """
    states = {}
    for name in manifest:
        with (folder / name).open("rb") as file:
            state = _state(file.fileno())
        if time.time_ns() - max(state[1:3]) > _tick(state) * 1e9:
            states[name] = state
    return states


def remember_written(folder: Path, manifest: Manifest, states: dict[str, _State]) -> None:
    """Remember the digests of a tree that was written and renamed, so that its files are not read again.

    Args:
        states: `settled_states` before the files were renamed.
    """
    _remember(folder, {name: (state, str(manifest[name]["sha256"])) for name, state in states.items()})


def forget(folder: Path) -> None:
    """Drop what is remembered of a tree, which is being removed."""
    with _guard:
        _here.pop(folder, None)
    _note(folder).unlink(missing_ok=True)


def _digest(path: Path, known: tuple[_State, str] | None) -> tuple[_State, str, bool] | None:
    """State and digest of a file, and whether the digest may be remembered; None if there is no such file."""
    try:
        with path.open("rb") as file:
            state = _state(file.fileno())
            if known is not None and known[0] == state:
                return state, known[1], True
            began = time.time_ns()
            digest = hash_file(path)
            settled = state == _state(file.fileno()) and began - max(state[1:3]) > _tick(state) * 1e9
            return state, digest, settled
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def hash_file(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(handle: int) -> _State:
    found = os.fstat(handle)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _tick(state: _State) -> float:
    return _TICK if state[1] % 1_000_000_000 else _COARSE_TICK


def _note(folder: Path) -> Path:
    return folder.with_name(f"{PREFIX}{folder.name}.json")


def _known(folder: Path) -> _Digests:
    """What is remembered of a tree; a file that cannot be read counts as absent."""
    with _guard:
        here = _here.get(folder)
    if here is not None:
        return here
    try:
        found = json.loads(_note(folder).read_bytes())
        return {str(name): ([int(n) for n in state], str(digest)) for name, (state, digest) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _remember(folder: Path, found: _Digests) -> None:
    with _guard:
        _here[folder] = found
    _write_quietly(_note(folder), json.dumps(found).encode())


def _write_quietly(note: Path, content: bytes) -> None:
    """Replace the file atomically. It only saves time, so a disk that is full or read-only is no error."""
    aside = note.with_name(f".aside-{os.urandom(6).hex()}")
    try:
        try:
            aside.write_bytes(content)
            os.replace(aside, note)
        finally:
            aside.unlink(missing_ok=True)
    except OSError:
        return
