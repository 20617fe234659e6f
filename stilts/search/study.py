"""The Optuna study of a search: opened in the store or in a database, and what can be read from it."""

from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from stilts.errors import StiltsError
from stilts.experiment.search import Dimension, Search, Space, Stopping, is_whole
from stilts.experiment.secrets import redact
from stilts.search.database import open_database
from stilts.search.journal import StoreJournal, import_study
from stilts.search.session import SearchSession
from stilts.search.subject import Subject

_SUBJECT = "subject"

optuna.logging.set_verbosity(optuna.logging.ERROR)


def open_study(found: SearchSession, tell: Callable[[str], None] = lambda text: None) -> optuna.Study:
    """Open the study of a search; create it if there is none. The caller must hold the lease of the search.

    The study lies in the store, or in the database that the search names. A study that an older stilts has left in the
    results folder is copied to the store.

    Args:
        tell: prints a line for the user.

    Raises:
        StiltsError: the study cannot be opened, or it belongs to another search.
    """
    name, url, subject = found.session.experiment.name, found.search.study, study_subject(found.subject)
    place = f"{found.session.store.uri}/{found.study}" if url is None else redact(url)
    try:
        storage = _stored(found, tell) if url is None else open_database(url)
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize",
            pruner=_pruner(found.search.stopping),
            load_if_exists=True,
        )
        known = study.user_attrs.get(_SUBJECT)
        if known is None:
            study.set_user_attr(_SUBJECT, subject)
    except StiltsError:
        raise
    except Exception as error:  # each database's driver, and SQLAlchemy, raise errors of their own
        raise StiltsError(f"cannot open the study at {place}: {type(error).__name__}: {redact(str(error))}") from error
    if known not in (None, subject):
        fields = ", ".join(sorted(field for field in subject if known.get(field) != subject[field]))
        raise StiltsError(
            f"the study {name!r} at {place} belongs to another search ({fields} have changed since): give this search "
            "another name"
        )
    return study


def _stored(found: SearchSession, tell: Callable[[str], None]) -> JournalStorage:
    """The study in the store. The file of an older stilts is copied to it."""
    journal = StoreJournal(found.session.store, found.study)
    earlier = found.session.results / "study.db"
    if journal.empty and earlier.is_file() and import_study(journal, earlier, found.session.experiment.name):
        tell(f"copied the study from {earlier} to {found.session.store.uri}/{found.study}, where it is continued")
    return JournalStorage(journal)


def best_of(study: optuna.Study) -> FrozenTrial | None:
    """The completed trial with the highest score (the first of several equal ones); None if no trial was completed."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(done, key=lambda trial: (trial.value, -trial.number), default=None)


def is_over(study: optuna.Study, search: Search) -> bool:
    """Whether all trials of the search have ended."""
    trials = study.get_trials(deepcopy=False)
    names = search.space.dimensions().keys()
    drawn = [trial for trial in trials if trial.params.keys() == names]
    return len(drawn) >= search.trials and all(trial.state.is_finished() for trial in drawn)


def study_subject(subject: Subject) -> dict[str, Any]:
    """Everything that determines what a study tunes, in plain JSON types: trials are only comparable if it is equal."""
    return {
        "stages": list(subject.default.stages),
        "space": subject.search.space.model_dump(mode="json", exclude_none=True),
        "stopping": None if subject.search.stopping is None else subject.search.stopping.model_dump(),
    }


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Convert a search space to Optuna's distributions."""
    return {name: _distribution(name, dimension) for name, dimension in space.dimensions().items()}


def _distribution(name: str, dimension: Dimension) -> BaseDistribution:
    if dimension.choices is not None:
        return CategoricalDistribution(dimension.choices)
    low, high, step = dimension.low, dimension.high, dimension.step
    assert low is not None
    assert high is not None
    if is_whole(name):
        return IntDistribution(int(low), int(high), log=dimension.log, step=int(step or 1))
    return FloatDistribution(float(low), float(high), log=dimension.log, step=None if step is None else float(step))


def _pruner(stopping: Stopping | None) -> optuna.pruners.BasePruner:
    if stopping is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.SuccessiveHalvingPruner(stopping.min_steps, stopping.reduction)
