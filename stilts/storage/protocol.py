"""Store: the interface to the place where artifacts live. Every backend makes five guarantees.

1. `write` and `put_tree` are atomic: a reader sees the old content or the new content, never a part. On a file system,
   a reader may find no tree while it is being replaced, and after a kill at that moment; the record names what should
   be there. In a bucket a tree is replaced in one step; a reader of the old tree may find it `Corrupt` at that moment.
2. `create` succeeds for exactly one of several writers of the same path.
3. What was written is durable when the call returns, so that a record can be written after the data that it names.
4. Reading a tree checks every file against the manifest and raises `Corrupt` if one differs.
5. Paths that lead out of the store are refused (`check_path`).

Records and leases are small and are read and written through the store. Large files are made on a local disk, in a
`scratch` folder, and become part of the store by `put_tree` or `publish`. They are read from the local path that
`fetch_tree` or `obtain` returns. A store on a file system returns its own folders. An object store returns folders of
the node's cache, which are fetched once for all processes of the machine and kept while the store object exists.

Paths are relative, with forward slashes. Layout:

    stages/NAME/record.json                      the stage is done
    stages/NAME/weights/                         Hugging Face layout
    stages/NAME/README.md                        model card of weights that are kept
    stages/NAME/evaluations/TASK/SPLIT-LG-KEY.*  predictions, then their record (.record.json)
    stages/NAME/failure.json                     how the last attempt ended that did not finish the stage
    stages/NAME/logs/ATTEMPT-rank-N.txt          the last lines of each rank's output, removed when the stage is done
    stages/NAME/claims/                          leases: who works on it
    stages/NAME/resume/                          state inside a stage, removed when the stage is done
    data/                                        canonical examples
    features/                                    encoded training data
    checkpoints/                                 local base models, until a node has stored them as a stage
    experiments/NAME/                            resolved declarations, what each needs, and the runs under way (runs/)
    experiments/NAME/known/                      facts about its data, for machines that do not have the data
    experiments/NAME/spent/                      resources that each launch has used
    experiments/NAME/claims/                     when each claim was declared first
    store.json                                   identifies the store
    clean/                                       lease for declaring an experiment and for garbage collection
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from stilts.errors import StiltsError

FOLDERS = ("stages", "data", "features", "checkpoints", "experiments", "clean", "doctor")
"""Folders at the top of a store."""

Manifest = dict[str, dict[str, int | str]]
"""Relative file path -> `{"bytes": n, "sha256": hex}`."""


Fence = Callable[[], None]
"""Raises if the writer may not write any more, because it has lost its lease (`Lease.check`)."""


class Corrupt(StiltsError):
    """Stored content differs from what was written, or is missing."""


class Unreachable(StiltsError):
    """The store did not answer within the time for retries. An attempt that fails with this is repeated, and does not
    count as a failure of the program."""


_IMPROPER = re.compile(r"[\x00-\x1f\\\x7f]|(?:^|/)\.{0,2}(?:/|$)")
"""A control character or a backslash, or a part that is empty, `.` or `..`."""


def check_path(path: str) -> str:
    """Return a path unchanged if it names something inside a store or a tree; `.` names the whole.

    Raises:
        StiltsError: it is absolute, contains `..`, or has an empty part, a backslash or a control character.
    """
    if path != "." and _IMPROPER.search(path):
        raise StiltsError(
            f"{path!r} is no path inside a store: give relative names with '/' between them, without '..'"
        )
    return path


def is_manifest(found: Any) -> bool:
    """Whether plain JSON has the form of a manifest."""
    return isinstance(found, dict) and all(
        isinstance(file, dict) and isinstance(file.get("bytes"), int) and isinstance(file.get("sha256"), str)
        for file in found.values()
    )


def check_names(manifest: Manifest) -> None:
    """Refuse a manifest that names a file outside of its tree.

    Raises:
        Corrupt: there is such a name; stilts has not written this manifest.
    """
    for name in manifest:
        try:
            if check_path(name) == ".":
                raise Corrupt("a tree's manifest names the tree itself as a file")
        except StiltsError as error:
            raise Corrupt(f"a tree's manifest names a file outside of it: {error}") from None


@dataclass(frozen=True)
class Measure:
    """Size of a file or folder in bytes, and the time at which its newest file was written (seconds since 1970)."""

    bytes: int
    modified: float


class Store(Protocol):
    """Artifacts by path. The text of the module lists the guarantees of every backend."""

    uri: str

    def read(self, path: str) -> bytes | None:
        """Return the content of a file, or None if there is none."""

    def write(self, path: str, content: bytes, fence: Fence | None = None) -> None:
        """Write a file, atomically replacing what was there.

        Args:
            fence: called directly before the file is replaced; if it raises, nothing is written. In a bucket, what
                another writer has written after that call is never replaced. On a file system, a writer that is paused
                between the call and the next system call can replace it.
        """

    def create(self, path: str, content: bytes) -> bool:
        """Write a file that must not exist; return False if it does."""

    def read_version(self, path: str) -> tuple[bytes, str] | None:
        """Return the content of a file and its version, which `replace` takes; None if there is no file."""

    def replace(self, path: str, content: bytes, version: str) -> str | None:
        """Write a file if it still has a version; return the new version, or None if it was changed or removed.

        In a bucket this is one step of the server. A file system has no such step: the file is compared directly
        before it is replaced, so that a writer that is paused at that very moment can replace what it has not seen.
        """

    def list(self, folder: str) -> Iterator[str]:
        """Names directly inside a folder; none if there is no such folder."""

    def remove(self, path: str, fence: Fence | None = None) -> None:
        """Remove a file or a whole folder, if there is one.

        Args:
            fence: called before anything is lost; if it raises, everything stays. In a bucket, what was written since
                then at the path itself stays, too.
        """

    def measure(self, path: str) -> Measure | None:
        """Size and time of a file or folder; None if there is none."""

    def orphans(self) -> Iterator[str]:
        """Paths of orphaned files and folders: left by killed writers, and not written to for `STALE_SECONDS`."""

    def put_tree(self, source: Path, path: str, fence: Fence | None = None) -> Manifest:
        """Copy a local folder to a path, atomically replacing what was there. `fence` is as for `write`."""

    def has_tree(self, path: str, manifest: Manifest) -> bool:
        """Whether a stored tree matches its manifest, as far as this can be checked without fetching it."""

    def fetch_tree(self, path: str, manifest: Manifest) -> Path:
        """Return a local folder with a stored tree, checked against its manifest. An empty manifest checks nothing.

        Raises:
            Corrupt: a file is missing or differs, or is not named by the manifest.
        """

    def scratch(self, path: str) -> Path:
        """Return a local folder for data that can be made again; it is kept between attempts on this machine."""

    def publish(self, path: str) -> None:
        """Make the file or folder at `scratch(".") / path` part of the store, replacing what was published there.

        As atomic as `put_tree`: until it returns, `obtain` returns what was published before. What is published is read
        by `obtain` only. `list` names it in its folder, and `remove` removes it.

        Raises:
            StiltsError: there is nothing at that path.
        """

    def obtain(self, path: str) -> Path:
        """Return the local path of what was published, for reading only. It is checked, and fetched once per machine.

        Raises:
            Corrupt: nothing was published there, or it is damaged.
        """
