"""Study: a search's trials in an Optuna study, which is asked for values and told of scores. Knows nothing of Ray.

A trial of the study is one configuration. Its stages, one a seed, are ordinary stages of the store, one after the
other: a stage that is there is not trained again. The study is the ledger of trials as the store is that of stages:
a search that was killed goes on from both. A trial that was under way is taken up where it was, with its number.

Invariants: a trial that has ended is never repeated, nor one with the same values run beside it; what is proposed
follows from the sampler's seed, the trial's number, and what is known by then.
"""

import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from stilts.errors import StiltsError
from stilts.experiment.search import Dimension, Search, Space, Stopping, is_whole
from stilts.experiment.secrets import redact
from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT
from stilts.ledger.mark import mark_of
from stilts.ledger.record import drop_weights, read_stage, take_inventory
from stilts.plan.job import StageJob
from stilts.plan.todo import artifact_name
from stilts.schedule.agenda import StageOutcome
from stilts.search.subject import Subject
from stilts.storage.protocol import Store

_SUBJECT = "subject"
_STOPPING = "stopping"
FAILURES = 3
"""Trials that failed, none having ended well, after which a search gives up."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


def open_study(name: str, url: str, search: Search, subject: Mapping[str, Any]) -> optuna.Study:
    """The study of this name in the database, made if it is not there.

    Args:
        subject: what is tuned, in plain JSON types: a study that is there must be of the same.

    Raises:
        StiltsError: the database cannot be used, or has a study of another search under this name.
    """
    try:
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            study_name=name, storage=url, direction="maximize", pruner=_pruner(search.stopping), load_if_exists=True
        )
        known = study.user_attrs.get(_SUBJECT)
        if known is None:
            study.set_user_attr(_SUBJECT, dict(subject))
    except Exception as error:  # each database's driver, and SQLAlchemy, raise errors of their own
        raise StiltsError(f"cannot open the study at {redact(url)}: {type(error).__name__}: {error}") from error
    if known not in (None, subject):
        fields = ", ".join(sorted(field for field in subject if known.get(field) != subject[field]))
        raise StiltsError(
            f"the study {name!r} at {redact(url)} is of another search ({fields} were changed since): give this one "
            "another name"
        )
    return study


def best_of(study: optuna.Study) -> FrozenTrial | None:
    """The trial with the highest score, of equals the first; None where none ran to the end."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(done, key=lambda trial: (trial.value, -trial.number), default=None)


def is_over(study: optuna.Study, search: Search) -> bool:
    """Whether every trial of the search has ended."""
    trials = study.get_trials(deepcopy=False)
    names = search.space.dimensions().keys()
    drawn = [trial for trial in trials if trial.params.keys() == names]
    return len(drawn) >= search.trials and all(trial.state.is_finished() for trial in drawn)


def subject_of(subject: Subject) -> dict[str, Any]:
    """What the trials of a study have in common, in plain JSON types: scores of others do not compare."""
    return {
        "stages": list(subject.default.stages),
        "space": subject.search.space.model_dump(mode="json", exclude_none=True),
        "stopping": None if subject.search.stopping is None else subject.search.stopping.model_dump(),
    }


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's terms."""
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


@dataclass
class _Open:
    """A trial under way.

    Attributes:
        reported: the last step whose dev score the study knows.
        jobs: of its stages, in the order of the seeds.
        scores: dev scores of those that have ended.
        seconds: spent on them.
    """

    trial: optuna.Trial
    reported: int = 0
    jobs: Sequence[StageJob] = ()
    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def first(self) -> bool:
        """The first of its seeds is under way, which alone decides whether the trial goes on."""
        return not self.scores


class Proposals:
    """The stages that a study proposes: a `StageSource` (`searcher.py`) for a run.

    Args:
        tell: shows a person a line.

    Attributes:
        broken: why the search gave up; None while it may go on.
    """

    def __init__(self, study: optuna.Study, subject: Subject, store: Store, tell: Callable[[str], None]) -> None:
        self.uri = store.uri
        self.broken: str | None = None
        self._study, self._subject, self._store, self._tell = study, subject, store, tell
        self._space = distributions(subject.search.space)
        self._mark = mark_of(store)
        self._running: dict[str, list[_Open]] = {}
        self._ready: deque[StageJob] = deque()
        self._left = deque(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        if not study.get_trials(deepcopy=False) and (own := subject.own_values()) is not None:
            study.enqueue_trial(own)
        self._count()

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher and scheduler, for a restore that never comes.
        return {}

    # --- what a run asks ---------------------------------------------------------------------------------

    def offer(self) -> StageJob | None:
        while not self._ready and self.broken is None:
            one = self._next()
            if one is None:
                return None
            self._begin(one)
        return self._ready.popleft() if self._ready and self.broken is None else None

    def reported(self, stage: str, result: Mapping[str, Any]) -> bool:
        opened = self._running.get(stage, [])
        # Of several with the same values every one is told, and the first decides.
        return any([self._report(one, result.get("curve", ())) for one in opened][:1])

    def ended(self, stage: str, outcome: StageOutcome) -> None:
        for one in self._running.pop(stage):
            one.seconds += outcome.seconds
            if outcome.status == "done":
                one.trial.set_user_attr("trained", [*one.trial.user_attrs.get("trained", []), stage])
                self._advance(one)
            elif outcome.status == "failed":
                self._end(one, "failed", outcome.message)
                self._count_failures(outcome.message)
            else:
                self._end(one, outcome.status, outcome.message)

    # --- trials ------------------------------------------------------------------------------------------

    def _next(self) -> _Open | None:
        """The trial to go on with, or a new one; None where all have begun."""
        while self._left:
            found = self._left.popleft()
            if self._drawn(found):
                trial = optuna.Trial(self._study, found._trial_id)
                return _Open(trial, max(found.intermediate_values, default=0))
            self._study.tell(found.number, state=TrialState.FAIL)  # killed before it had values
        begun = sum(map(self._drawn, self._study.get_trials(deepcopy=False)))
        if begun >= self._subject.search.trials:
            return None
        seed = int(digest([self._subject.search.sampler_seed, begun])[:8], 16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constant_liar was experimental in Optuna 4
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return _Open(self._study.ask(self._space))

    def _drawn(self, trial: FrozenTrial) -> bool:
        """Whether it got all its values."""
        return trial.params.keys() == self._space.keys()

    def _begin(self, one: _Open) -> None:
        trial = one.trial
        twin = self._twin(trial)
        if twin is not None:
            self._repeat(trial, twin)
            return
        if trial.user_attrs.get(_STOPPING):
            self._end(one, "stopped", "its driver ended while it was being stopped")
            return
        try:
            one.jobs = self._jobs(trial.params)
        except StiltsError as error:  # values that do not go together
            self._end(one, "refused", str(error))
            return
        trial.set_user_attr("stages", [job.name for job in one.jobs])
        self._advance(one)

    def _twin(self, trial: optuna.Trial) -> FrozenTrial | None:
        """An earlier trial of the same values that has ended."""
        ended = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        return next((found for found in ended if found.params == trial.params), None)

    def _repeat(self, trial: optuna.Trial, twin: FrozenTrial) -> None:
        for name, value in twin.user_attrs.items():
            trial.set_user_attr(name, value)
        trial.set_user_attr("same_as", twin.number)
        trial.set_user_attr("seconds", 0.0)
        for step, value in twin.intermediate_values.items():
            trial.report(value, step)
        values = twin.values if twin.state == TrialState.COMPLETE else None
        self._study.tell(trial, values, twin.state)
        self._count()

    def _jobs(self, values: Mapping[str, Any]) -> list[StageJob]:
        configuration = self._subject.configure(values)
        graph, runtime = configuration.expansion.graph, configuration.expansion.experiment.runtime
        inventory = take_inventory(self._store, {key[:SHORT] for key in graph.nodes})
        jobs = []
        for key in configuration.stages:
            node = graph.nodes[key]
            assert node.parent is not None
            jobs.append(
                StageJob(
                    name=artifact_name(node, inventory),
                    spec=node.spec,
                    parent=artifact_name(graph.nodes[node.parent], inventory),
                    evaluations=(),
                    keep_weights=True,
                    trained=False,
                    store=self.uri,
                    runtime=runtime,
                    mark=self._mark,
                )
            )
        return jobs

    def _advance(self, one: _Open) -> None:
        """Go on with the trial's next stage that the store lacks, or end it."""
        for job in one.jobs[len(one.scores) :]:
            record = read_stage(self._store, job.name)
            if record is None:
                if job.name not in self._running:
                    self._ready.append(job)
                self._running.setdefault(job.name, []).append(one)
                return
            if one.first:
                self._report(one, record["dev"]["curve"])
            one.scores.append(record["dev"]["score"])
        self._end(one, "done")

    def _report(self, one: _Open, curve: Sequence[tuple[int, float]]) -> bool:
        """Tell the study what is new of a curve of dev scores; whether the trial is to stop."""
        if not one.first:
            return False
        for step, score in curve:
            if step > one.reported:
                one.reported = step
                one.trial.report(score, step)
                if one.trial.should_prune():
                    one.trial.set_user_attr(_STOPPING, True)
        return _STOPPING in one.trial.user_attrs

    def _end(self, one: _Open, how: str, message: str = "") -> None:
        trial = one.trial
        facts = {"ended": how, "message": redact(message), "scores": one.scores, "seconds": round(one.seconds, 3)}
        for name, value in facts.items():
            trial.set_user_attr(name, value)
        if how == "done":
            self._study.tell(trial, fmean(one.scores))
            self._show_best(trial.number)
        else:
            # What is pruned counts as bad, by its last dev score, or where it has none as worst; a failure not at all.
            self._study.tell(trial, state=TrialState.FAIL if how == "failed" else TrialState.PRUNED)
        self._count()

    def _count(self) -> None:
        trials = self._study.get_trials(deepcopy=False)
        self._over = sum(trial.state.is_finished() for trial in trials)
        done = [trial.value for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
        self._best = max(done, default=None)

    def _show_best(self, number: int) -> None:
        best = best_of(self._study)
        if best is not None and best.number == number:
            values = ", ".join(f"{name} {_short(value)}" for name, value in best.params.items())
            self._tell(f"trial {number} is the best so far: dev {best.value:.2f} ({values})")

    def _count_failures(self, message: str) -> None:
        ended = self._study.get_trials(deepcopy=False)
        failed = sum(trial.user_attrs.get("ended") == "failed" for trial in ended)
        if failed >= FAILURES and not any(trial.state == TrialState.COMPLETE for trial in ended):
            self.broken = f"{failed} trials failed, and none has ended well; the last: {message}"

    def told(self) -> str:
        """How far the search is, in a few words."""
        best = "" if self._best is None else f", best dev {self._best:.2f}"
        return f"{self._over} of {self._subject.search.trials} trials over{best}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def drop_worse_weights(study: optuna.Study, store: Store, needed: set[str]) -> None:
    """Remove the weights of the stages that this search trained, but of the best trial's.

    Args:
        needed: stages, by the first 12 digits of their key, whose weights an experiment counts on.
    """
    best = best_of(study)
    kept = set() if best is None else set(best.user_attrs["stages"])
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        for name in trial.user_attrs.get("trained", []):
            if name not in kept and name[-SHORT:] not in needed:
                drop_weights(store, name)
