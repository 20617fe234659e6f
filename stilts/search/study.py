"""The trials of a search in an Optuna study. Optuna proposes values; the dev scores are reported back to it.

A trial of the study is one choice of values. It has one stage per seed of the search, and trains them one after the
other. They are ordinary stages of the store, so that a stage that is already stored is not trained again. The study
records the trials and the store records the stages: a search that was killed continues from both, and a trial that was
running keeps its number. This module does not use Ray.

Invariants: values that were tried are not tried again, and equal values never train twice at the same time; proposals
are determined by the sampler's seed, the number of the trial, and the scores known at that time.
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
"""Number of failed trials after which a search gives up, if no trial has been completed."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


def open_study(name: str, url: str, search: Search, subject: Mapping[str, Any]) -> optuna.Study:
    """Open the study of this name in a database; create it if there is none.

    Args:
        url: SQLAlchemy URL of the database.
        subject: the result of `study_subject`. A study that exists must have the same.

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
            f"the study {name!r} at {redact(url)} belongs to another search ({fields} have changed since): give this "
            "search another name"
        )
    return study


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


@dataclass
class _Open:
    """A running trial.

    Attributes:
        reported: last step whose dev score was reported to the study.
        jobs: the jobs of its stages, in the order of the seeds.
        scores: dev scores of the stages that have ended.
        seconds: training time of the stages that have ended.
    """

    trial: optuna.Trial
    reported: int = 0
    jobs: Sequence[StageJob] = ()
    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def on_first_seed(self) -> bool:
        """Whether the first seed is being trained. Early stopping looks at the dev scores of the first seed only."""
        return not self.scores


class Proposals:
    """A `StageSource` for a run: offers the stages of the trials that a study proposes.

    Args:
        tell: prints a line for the user.

    Attributes:
        broken: why the search gave up; None while it can continue.
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
        # Tune pickles its searcher and scheduler, but they are never restored.
        return {}

    # --- StageSource -------------------------------------------------------------------------------------

    def offer(self) -> StageJob | None:
        """The next stage to train; None if there is none now."""
        while not self._ready and self.broken is None:
            one = self._next()
            if one is None:
                return None
            self._begin(one)
        return self._ready.popleft() if self._ready and self.broken is None else None

    def reported(self, stage: str, result: Mapping[str, Any]) -> bool:
        """Report new dev scores of a running stage to the study; return whether the stage should be stopped early."""
        opened = self._running.get(stage, [])
        # All trials with these values get the scores; the first of them decides about stopping.
        return any([self._report(one, result.get("curve", ())) for one in opened][:1])

    def ended(self, stage: str, outcome: StageOutcome) -> None:
        """Record the end of a stage in its trials, and continue each trial with its next seed or end it."""
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
        """An interrupted trial to continue, or a new trial; None if all trials of the search have begun."""
        while self._left:
            found = self._left.popleft()
            if self._drawn(found):
                trial = optuna.Trial(self._study, found._trial_id)
                return _Open(trial, max(found.intermediate_values, default=0))
            self._study.tell(found.number, state=TrialState.FAIL)  # the driver was killed before values were drawn
        begun = sum(map(self._drawn, self._study.get_trials(deepcopy=False)))
        if begun >= self._subject.search.trials:
            return None
        seed = int(digest([self._subject.search.sampler_seed, begun])[:8], 16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constant_liar was experimental in Optuna 4
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return _Open(self._study.ask(self._space))

    def _drawn(self, trial: FrozenTrial) -> bool:
        """Whether all values of a trial have been drawn."""
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
        except StiltsError as error:  # the values contradict each other
            self._end(one, "refused", str(error))
            return
        trial.set_user_attr("stages", [job.name for job in one.jobs])
        self._advance(one)

    def _twin(self, trial: optuna.Trial) -> FrozenTrial | None:
        """A trial with equal values that has ended; None if there is none."""
        ended = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        return next((found for found in ended if found.params == trial.params), None)

    def _repeat(self, trial: optuna.Trial, twin: FrozenTrial) -> None:
        """End a trial with the results of an earlier trial that has equal values."""
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
        """Continue with the first stage of the trial that is not in the store; end the trial if there is none."""
        for job in one.jobs[len(one.scores) :]:
            record = read_stage(self._store, job.name)
            if record is None:
                if job.name not in self._running:
                    self._ready.append(job)
                self._running.setdefault(job.name, []).append(one)
                return
            if one.on_first_seed:
                self._report(one, record["dev"]["curve"])
            one.scores.append(record["dev"]["score"])
        self._end(one, "done")

    def _report(self, one: _Open, curve: Sequence[tuple[int, float]]) -> bool:
        """Report the new points of a curve of dev scores to the study; return whether the trial should be stopped."""
        if not one.on_first_seed:
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
            # The sampler rates a pruned trial by its last dev score (without one, as worst) and ignores a failed one.
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
            self.broken = f"{failed} trials failed and none was completed; the last one: {message}"

    def progress(self) -> str:
        """Progress of the search in a few words, such as `3 of 20 trials over, best dev 70.00`."""
        best = "" if self._best is None else f", best dev {self._best:.2f}"
        return f"{self._over} of {self._subject.search.trials} trials over{best}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def drop_worse_weights(study: optuna.Study, store: Store, needed: set[str]) -> None:
    """Remove the weights of the stages that this search trained, except for those of the best trial.

    Args:
        needed: stages whose weights an experiment needs, by the first `SHORT` hex digits of their keys.
    """
    best = best_of(study)
    kept = set() if best is None else set(best.user_attrs["stages"])
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        for name in trial.user_attrs.get("trained", []):
            if name not in kept and name[-SHORT:] not in needed:
                drop_weights(store, name)
