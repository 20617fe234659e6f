"""Store: where artifacts live. Four promises that every backend keeps.

1. `write` and `put_tree` are atomic: a reader sees the old content, or all of the new, never a part. While a tree is
   being replaced, and after a kill in that moment, a reader may see none: the record names what should be there.
2. `create` succeeds for exactly one of several writers of the same path.
3. What was written is on disk when the call returns; a record written after it can rely on it.
4. Reading a tree checks every file against its manifest; what does not match raises `Corrupt`.

Paths are relative, with forward slashes. Layout:

    stages/NAME/record.json                      the stage is done
    stages/NAME/weights/                         Hugging Face layout
    stages/NAME/evaluations/TASK/SPLIT-LG-KEY.*  predictions, then their record (.record.json)
    stages/NAME/claims/                          who works on it
    stages/NAME/resume/                          state inside a stage, gone when it is done
    data/                                        canonical examples and features
    experiments/NAME/                            resolved declarations
"""

from collections.abc import Iterator
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

    def put_tree(self, source: Path, path: str) -> Manifest:
        """Copy a local folder to a path, atomically replacing what was there."""

    def fetch_tree(self, path: str, manifest: Manifest) -> Path:
        """A local folder with a stored tree, checked against its manifest.

        Raises:
            Corrupt: a file is missing or differs.
        """

    def scratch(self, path: str) -> Path:
        """A local folder, kept between attempts on this machine, for data that can be made again."""
