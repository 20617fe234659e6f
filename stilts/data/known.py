"""Known data: what the catalog answered where the sources are, so that a machine that has none of them plans alike.

A plan asks which splits and languages there are, and for the identity of each. A machine with the sources reads them,
and notes the answers; kept in the store, they let any other one plan, collect and go on from the store alone. They hold
for one declaration of the data, word for word, and are used only where not one of its folders and files is there.
"""

from collections.abc import Callable, Iterator, Mapping
from glob import escape, glob
from typing import Any

from stilts.data.prepare import Catalog
from stilts.errors import StiltsError
from stilts.experiment.data import DataDecl
from stilts.identity.stage import DataRef
from stilts.tasks.base import Task


class KnownData:
    """A catalog that notes its answers, or repeats those noted elsewhere.

    Args:
        noted: answers of another machine; None where this one has sources of its own.

    Attributes:
        answers: all given so far, in plain JSON types.
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
            StiltsError: the sources are not here, and where they are nobody asked for this.
        """
        return DataRef(
            **self._answer("ref", task, split, language, lambda: vars(self._catalog.ref(task, split, language)))
        )

    def _answer(self, question: str, task: Task, split: str, language: str, ask: Callable[[], Any]) -> Any:
        key = f"{question} {task.name} {task.version} {split} {language}"
        if self._noted is None:
            self.answers[key] = ask()
        elif key in self._noted:
            self.answers[key] = self._noted[key]
        else:
            sources = ", ".join(local_sources(self._catalog.data))
            raise StiltsError(
                f"the data is not on this machine ({sources}), and the store does not know the {split} data of "
                f"{task.name} in {language}: run `stilts data prepare` with this experiment where the data is"
            )
        return self.answers[key]


def local_sources(data: DataDecl) -> Iterator[str]:
    """Folders and files that a declaration names; some with `{lang}`."""
    yield from (folder for folder in (data.xtreme, data.labels) if folder is not None)
    for source in data.tasks.values():
        for paths in (source.train, source.dev, source.test, source.translated, source.candidates):
            yield from (paths,) if isinstance(paths, str) else paths or ()


def sources_are_elsewhere(data: DataDecl) -> bool:
    """Whether a declaration names folders or files, and not one of them is on this machine."""
    named = list(local_sources(data))
    return bool(named) and not any(glob(escape(path).replace("{lang}", "*")) for path in named)
