"""Store: where artifacts live. Five promises that every backend keeps.

1. `write` and `put_tree` are atomic: a reader sees the old content, or all of the new, never a part. On a file system,
   while a tree is being replaced, and after a kill in that moment, a reader may see none: the record names what should
   be there. In a bucket it is replaced in one step; a reader in the middle of the old one may find it `Corrupt`.
2. `create` succeeds for exactly one of several writers of the same path.
3. What was written is on disk when the call returns; a record written after it can rely on it.
4. Reading a tree checks every file against its manifest; what does not match raises `Corrupt`.
5. A path outside the store is refused, wherever it comes from: `check_path`.

Work is done on local disks. Records and leases are small and are read and written through the store. What is large is
made in `scratch`, becomes part of the store by `put_tree` or `publish`, and is read where `fetch_tree` or `obtain` say
that it lies on this machine. A store on a file system gives its own folders; an object store gives folders of the
node's cache, fetched once for all processes of the machine, and keeps them for as long as the store object lives.

Paths are relative, with forward slashes. Layout:

    stages/NAME/record.json                      the stage is done
    stages/NAME/weights/                         Hugging Face layout
    stages/NAME/README.md                        model card of weights that are kept
    stages/NAME/evaluations/TASK/SPLIT-LG-KEY.*  predictions, then their record (.record.json)
    stages/NAME/claims/                          who works on it
    stages/NAME/resume/                          state inside a stage, gone when it is done
    data/                                        canonical examples
    features/                                    encoded training data
    checkpoints/                                 local base models, on their way to the node that stores them
    experiments/NAME/                            resolved declarations, what each needs, and the runs under way (runs/)
    experiments/NAME/known/                      answers about its data, for machines that have none
    experiments/NAME/spent/                      what each launch has used
    store.json                                   tells this store from every other
    clean/                                       who declares an experiment, or removes what none needs
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stilts.errors import StiltsError

Manifest = dict[str, dict[str, int | str]]
"""Relative file path -> `{"bytes": n, "sha256": hex}`."""


class Corrupt(StiltsError):
    """What is stored is not what was written."""


class Unreachable(StiltsError):
    """The store did not answer, however often it was asked. Nothing is wrong with the program: an attempt that ends in
    this is made again, and is not counted as a failure."""


def check_path(path: str) -> str:
    """The path as it was given, where it names something inside a store or a tree; `.` is the whole of it.

    Raises:
        StiltsError: it is absolute, climbs (`..`), or holds an empty part, a backslash or a control character.
    """
    parts = [] if path == "." else path.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(c in "\\\x7f" or c < " " for c in path):
        raise StiltsError(
            f"{path!r} is no path inside a store: give relative names with '/' between them, without '..'"
        )
    return path


def check_names(manifest: Manifest) -> None:
    """Refuse a manifest with a name that leads out of its tree.

    Raises:
        Corrupt: the record that holds the manifest is not one that stilts wrote.
    """
    for name in manifest:
        try:
            if check_path(name) == ".":
                raise Corrupt("a tree's manifest names the tree itself as a file")
        except StiltsError as error:
            raise Corrupt(f"a tree's manifest names a file outside of it: {error}") from None


@dataclass(frozen=True)
class Measure:
    """What a file or folder comes to: its bytes, and when the newest of it was written (seconds since 1970)."""

    bytes: int
    modified: float


class Store(Protocol):
    """Artifacts by path. See the module's text for what each backend promises."""

    uri: str

    def read(self, path: str) -> bytes | None:
        """Content of a file, None where there is none."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file, atomically replacing what was there."""

    def create(self, path: str, content: bytes) -> bool:
        """Write a file that must not exist; False where it does."""

    def list(self, folder: str) -> Iterator[str]:
        """Names directly inside a folder; nothing where there is none."""

    def remove(self, path: str) -> None:
        """Remove a file or a whole folder; nothing where there is none."""

    def measure(self, path: str) -> Measure | None:
        """Size and age of a file or folder; None where there is none."""

    def orphans(self) -> Iterator[str]:
        """Paths of what killed writers left, which nobody has written to for `STALE_SECONDS`."""

    def put_tree(self, source: Path, path: str) -> Manifest:
        """Copy a local folder to a path, atomically replacing what was there."""

    def has_tree(self, path: str, manifest: Manifest) -> bool:
        """Whether a stored tree is what its manifest says, as far as that can be told without fetching it."""

    def fetch_tree(self, path: str, manifest: Manifest) -> Path:
        """A local folder with a stored tree, checked against its manifest; an empty one checks nothing.

        Raises:
            Corrupt: a file is missing or differs, or one is there that the manifest does not name.
        """

    def scratch(self, path: str) -> Path:
        """A local folder, kept between attempts on this machine, for data that can be made again."""

    def publish(self, path: str) -> None:
        """Make the file or folder at `scratch(".") / path` part of the store, replacing what was published there.

        As atomic as `put_tree`: until it returns, `obtain` gives what was published before. Only `obtain` reads what
        is published; `list` names it in its folder, and `remove` removes it.

        Raises:
            StiltsError: nothing is there to be published.
        """

    def obtain(self, path: str) -> Path:
        """Local path of what was published, to be read only: checked, and fetched once for all of this machine.

        Raises:
            Corrupt: nothing was published there, or it is damaged.
        """
