"""SearchSession: a search with its experiment and its store."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from stilts.experiment.load import load_tuning
from stilts.experiment.search import Search, Tuning
from stilts.identity.stage import SHORT
from stilts.ledger.needs import running
from stilts.ledger.revisions import pin_revisions
from stilts.search.subject import Configuration, Subject
from stilts.session import Session, open_sources


@dataclass(frozen=True)
class SearchSession:
    """A search with its experiment and its store.

    Attributes:
        subject: the stage that is tuned.
        session: the session of the chain up to that stage, with the experiment's own recipe.
    """

    search: Search
    subject: Subject
    session: Session

    @classmethod
    def open(cls, path: Path, overrides: Sequence[str] = (), patches: Sequence[Path] = ()) -> "SearchSession":
        """Open the search that a YAML file declares.

        Raises:
            StiltsError: the file is not valid (see `load_tuning`), or the search is not (see `of_search`).
        """
        return cls.of_search(load_tuning(path, overrides, patches=patches))

    @classmethod
    def of_search(cls, tuning: Tuning) -> "SearchSession":
        """Open the store and the data of a search, and check the search.

        Raises:
            StiltsError: the search or its data has mistakes. The message lists all of them.
        """
        store, catalog, known = open_sources(tuning)
        subject = Subject(pin_revisions(tuning, store), known)
        subject.check()
        default = subject.default.expansion
        models = {name: tuning.models[name] for name in default.experiment.models}
        declared = default.experiment.model_copy(update={"models": models})
        return cls(tuning.search, subject, Session(default.experiment, store, catalog, default, known, declared))

    @property
    def study(self) -> str:
        """Folder of the Optuna study in the store."""
        return f"experiments/{self.session.experiment.name}/study"

    def running(self, waiting: Callable[[str], None]) -> AbstractContextManager[str]:
        """The context of a run of the search, as `Session.running`.

        The search is declared with the stages before the tuned one, and as open. Its trials are declared one by one
        (`search/declared.py`).
        """
        name = self.session.experiment.name
        return running(self.session.store, name, lambda: self.write_declaration(over=False), waiting)

    def write_declaration(self, *, over: bool) -> None:
        """Declare the search itself. The caller must hold the lease `CLEANING`.

        Args:
            over: whether all trials have ended. Until then, the stages before the tuned one keep their weights.
        """
        needs, tuned = self.session.needs(), {key[:SHORT] for key in self.subject.default.stages}
        stages = {key: stage for key, stage in needs.stages.items() if key not in tuned}
        self.session.write_declaration(replace(needs, stages=stages, best=(), open=not over))

    def of(self, configuration: Configuration) -> Session:
        """Return a session for the stages of a configuration, with the same store and the same data."""
        return replace(self.session, experiment=configuration.expansion.experiment, expansion=configuration.expansion)
