"""Proposals: the trials of a search as a source of stages for a run.

A trial of the study is one choice of values. It has one stage per seed of the search, and trains them one after the
other. They are ordinary stages of the store, so that a stage that is already stored is not trained again. The study
records the trials and the store records the stages: a search that was killed continues from both, and a trial that was
running keeps its number. This module does not use Ray.

Invariants: values that were tried are not tried again, and equal values never train twice at the same time; proposals
are determined by the sampler's seed, the number of the trial, and the scores known at that time; a trial is declared in
the store (`search/declared.py`) before its first stage is offered.
"""

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from stilts.errors import StiltsError
from stilts.experiment.secrets import redact
from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT
from stilts.ledger.mark import mark_of
from stilts.ledger.needs import CLEANING
from stilts.ledger.record import read_stage, take_inventory
from stilts.plan.job import StageJob
from stilts.plan.todo import artifact_name
from stilts.schedule.agenda import StageOutcome
from stilts.schedule.causes import Cause
from stilts.search.declared import Declarations
from stilts.search.session import SearchSession
from stilts.search.study import best_of, distributions
from stilts.search.subject import Configuration
from stilts.storage.lease import Lease

_STOPPING = "stopping"
FAILURES = 3
"""Number of failed trials after which a search gives up, if no trial has been completed."""
SURROUNDINGS: tuple[Cause, ...] = ("disk", "read-only", "store", "object store")
"""Causes of failures that do not depend on the values of a trial."""


@dataclass
class _Open:
    """A running trial.

    Attributes:
        reported: last step whose dev score was reported to the study.
        stopping: whether it was decided to stop the trial early.
        jobs: the jobs of its stages, in the order of the seeds.
        scores: dev scores of the stages that have ended.
        seconds: training time of the stages that have ended.
    """

    trial: optuna.Trial
    reported: int = 0
    stopping: bool = False
    jobs: Sequence[StageJob] = ()
    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def on_first_seed(self) -> bool:
        """Whether the first seed is being trained. Early stopping looks at the dev scores of the first seed only."""
        return not self.scores


class Proposals:
    """A `StageSource` for a run: offers the stages of the trials that a study proposes.

    A study or a store that cannot be used any more ends the search: no further stage is offered, and `stop` is called,
    so that the running trials write their resume states.

    Args:
        declared: declares each trial before its first stage is offered.
        tell: prints a line for the user.
        stop: stops the run; called with the reason.
        let_go: called with the short keys of stages whose weights are perhaps not needed any more.

    Attributes:
        broken: why the search gave up; None while it can continue.
        away: whether it gave up because the study or the store cannot be used.
    """

    def __init__(
        self,
        found: SearchSession,
        study: optuna.Study,
        declared: Declarations,
        tell: Callable[[str], None],
        stop: Callable[[str], None] = lambda reason: None,
        let_go: Callable[[Sequence[str]], None] = lambda keys: None,
    ) -> None:
        subject, store = found.subject, found.session.store
        self.uri = store.uri
        self.broken: str | None = None
        self.away = False
        self._study, self._subject, self._store, self._tell = study, subject, store, tell
        self._declared, self._stop, self._let_go = declared, stop, let_go
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
        with self._giving_up():
            while not self._ready and self.broken is None:
                one = self._next()
                if one is None or not self._begin(one):
                    return None
        return self._ready.popleft() if self._ready and self.broken is None else None

    def reported(self, stage: str, result: Mapping[str, Any]) -> bool:
        """Report new dev scores of a running stage to the study; return whether the stage should be stopped early."""
        stops: list[bool] = []
        with self._giving_up():
            opened = self._running.get(stage, []) if self.broken is None else []
            # All trials with these values get the scores; the first of them decides about stopping.
            stops = [self._report(one, result.get("curve", ())) for one in opened]
        return any(stops[:1])

    def ended(self, stage: str, outcome: StageOutcome) -> None:
        """Record the end of a stage in its trials, and continue each trial with its next seed or end it."""
        with self._giving_up():
            if self.broken is None:
                self._ended(stage, outcome)

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Context in which an error of the study or of the store stops the search cleanly, instead of raising."""
        try:
            yield
        except StiltsError as error:
            self.broken, self.away = str(error), True
            self._stop("the search cannot go on")

    def _ended(self, stage: str, outcome: StageOutcome) -> None:
        for one in self._running.pop(stage):
            one.seconds += outcome.seconds
            if outcome.status == "done":
                self._advance(one)
            elif outcome.cause in SURROUNDINGS:
                # The trial stays unfinished: other values would fail in the same way, and the next driver continues it.
                raise StiltsError(outcome.message)
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
                stopping = bool(found.user_attrs.get(_STOPPING))
                return _Open(trial, max(found.intermediate_values, default=0), stopping)
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

    def _begin(self, one: _Open) -> bool:
        """Begin or continue a trial. Returns False, and takes it up later, if it cannot be declared now."""
        trial = one.trial
        twin = self._twin(trial)
        if twin is not None:
            self._repeat(trial, twin)
            return True
        if one.stopping:
            self._end(one, "stopped", "its driver ended while it was being stopped")
            return True
        try:
            configuration = self._subject.configure(trial.params)
        except StiltsError as error:  # the values contradict each other
            self._end(one, "refused", str(error))
            return True
        if not self._declare(trial.number, configuration):
            self._left.appendleft(self._study.get_trials(deepcopy=False)[trial.number])
            return False
        one.jobs = self._jobs(configuration)
        trial.set_user_attr("stages", [job.name for job in one.jobs])
        self._advance(one)
        return True

    def _declare(self, number: int, configuration: Configuration) -> bool:
        """Declare a trial. Does not wait for a collector that is at work while other trials run: Tune's loop would."""
        if self._declared.holds(number, configuration):
            return True
        lease = Lease(self._store, CLEANING)
        with ExitStack() as stack:
            if not self._running:
                stack.enter_context(lease)
            elif lease.acquire():
                stack.push(lease)
            else:
                return False
            self._declared.declare(number, configuration)
        return True

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
        self._over_with()

    def _jobs(self, configuration: Configuration) -> list[StageJob]:
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
                    tasks=configuration.expansion.experiment.tasks,
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
                if not one.stopping and one.trial.should_prune():
                    one.trial.set_user_attr(_STOPPING, True)
                    one.stopping = True
        return one.stopping

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
        self._over_with()

    def _over_with(self) -> None:
        """Drop the weights that only an ended trial needed."""
        self._count()
        self._let_go(self._declared.reconcile(self._study))

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
