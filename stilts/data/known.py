"""Known data: recorded answers of the catalog, with which a machine without the data files makes the same plan.

A plan asks the catalog which splits and languages exist, and for the identity of each. A machine with the data files
reads them and records the answers in the store. With these answers, other machines can plan, collect results and run
from the store alone. Recorded answers are valid for one declaration of the data (`data:`), and are only used on
machines that have none of its folders and files.
"""

from collections.abc import Callable, Iterator, Mapping
from glob import escape, glob
from typing import Any

from stilts.data.prepare import Catalog
from stilts.errors import StiltsError
from stilts.experiment.data import DataDecl, TaskSource
from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT, DataRef
from stilts.tasks.base import Task

_REF: dict[str, Any] = {
    **dict.fromkeys(("task", "split", "language", "identity"), str),
    **dict.fromkeys(("rows", "tokens"), int | None),
    "labelled": bool,
}
"""Types of the fields of a recorded DataRef."""


class KnownData:
    """A catalog that records its answers, or gives those that another machine recorded.

    Args:
        noted: answers that another machine recorded; None on a machine that has the data files.

    Attributes:
        answers: all answers given so far, in plain JSON types.
    """

    def __init__(self, catalog: Catalog, noted: Mapping[str, Any] | None = None) -> None:
        self._catalog, self._noted = catalog, noted
        self.answers: dict[str, Any] = {}

    def has(self, task: Task, split: str, language: str) -> bool:
        """See `Catalog.has`."""
        found: bool = self._answer("has", task, split, language, lambda: self._catalog.has(task, split, language))
        return found

    def ref(self, task: Task, split: str, language: str) -> DataRef:
        """See `Catalog.ref`.

        Raises:
            StiltsError: this machine does not have the data files, and the store has no recorded answer.
        """
        return DataRef(
            **self._answer("ref", task, split, language, lambda: vars(self._catalog.ref(task, split, language)))
        )

    def _answer(self, question: str, task: Task, split: str, language: str, ask: Callable[[], Any]) -> Any:
        own = "" if task.origin is None else f" {digest(task.selecting_definition)[:SHORT]}"
        key = f"{question} {task.name} {task.version}{own} {split} {language}"
        if self._noted is None:
            self.answers[key] = ask()
        elif _is_answer(question, self._noted.get(key)):
            self.answers[key] = self._noted[key]
        else:
            sources = ", ".join(local_sources(self._catalog.data))
            raise StiltsError(
                f"the data is not on this machine ({sources}), and the store does not know the {split} data of "
                f"{task.name} in {language}: run `stilts data prepare` with this experiment where the data is"
            )
        return self.answers[key]


def _is_answer(question: str, found: Any) -> bool:
    """Whether plain JSON has the form of an answer; the file in the store may be damaged."""
    if question == "has":
        return isinstance(found, bool)
    if not isinstance(found, dict) or not found.keys() <= _REF.keys():
        return False
    return all(isinstance(found.get(name), kind) for name, kind in _REF.items() if name in found or kind is str)


def local_sources(data: DataDecl) -> Iterator[str]:
    """Yield the folders and files that a declaration names. Some contain the placeholder `{lang}`."""
    yield from (folder for folder in (data.xtreme, data.labels) if folder is not None)
    for source in data.tasks.values():
        yield from (path for paths in _by_split(source).values() for path in paths)


def missing_paths(source: TaskSource) -> dict[str, str]:
    """The paths of a task's source for which no file or folder exists on this machine, one for each split."""
    lacking = {split: [path for path in paths if not _exists(path)] for split, paths in _by_split(source).items()}
    return {split: paths[0] for split, paths in lacking.items() if paths}


def _by_split(source: TaskSource) -> dict[str, tuple[str, ...]]:
    found = {}
    for split in ("train", "dev", "test", "translated", "candidates"):
        paths = getattr(source, split)
        found[split] = (paths,) if isinstance(paths, str) else tuple(paths or ())
    return found


def _exists(path: str) -> bool:
    return bool(glob(escape(path).replace("{lang}", "*")))


def sources_are_elsewhere(data: DataDecl) -> bool:
    """Whether a declaration names folders or files and none of them exists on this machine."""
    named = list(local_sources(data))
    return bool(named) and not any(map(_exists, named))
