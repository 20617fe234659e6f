"""A search opened on its store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stilts.experiment.load import load_tuning
from stilts.experiment.search import Search
from stilts.search.subject import Configuration, Subject
from stilts.session import Session, open_sources


@dataclass(frozen=True)
class SearchSession:
    """One search, its experiment opened on its store.

    Attributes:
        session: of the chain up to the stage that is tuned, with the experiment's own recipe.

    Raises (from `open`):
        StiltsError: every mistake in the YAML, or what keeps the search from beginning.
    """

    search: Search
    subject: Subject
    session: Session

    @classmethod
    def open(cls, path: Path, overrides: Sequence[str] = (), patches: Sequence[Path] = ()) -> "SearchSession":
        tuning = load_tuning(path, overrides, patches=patches)
        store, catalog, known = open_sources(tuning)
        subject = Subject(tuning, known)
        subject.check()
        default = subject.default.expansion
        return cls(tuning.search, subject, Session(default.experiment, store, catalog, default, known))

    @property
    def study(self) -> str:
        """URL of the Optuna study's database."""
        return self.search.study or f"sqlite:///{(self.session.results / 'study.db').resolve()}"

    def of(self, configuration: Configuration) -> Session:
        """The session of the same chain with another configuration."""
        return replace(self.session, experiment=configuration.expansion.experiment, expansion=configuration.expansion)
