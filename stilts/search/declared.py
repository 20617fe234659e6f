"""What a search has declared in its store, so that `stilts clean` and other runs remove nothing that it needs.

Each trial is a declaration of its own, `experiments/NAME/trials/NUMBER`, written before its first stage starts. While
the trial runs it keeps the weights of its stages. When the trial is over, it keeps them only if it is the best so far;
of a trial that was not completed the declaration is removed. The search itself is declared like an experiment, with the
stages before the tuned one; its list is marked as open until all trials are over, so that these stages keep their
weights.

Invariant: what is declared is a function of the study. `reconcile` establishes it, and can be called at any time.
"""

from collections.abc import Sequence
from dataclasses import replace

import optuna
from optuna.trial import TrialState

from stilts.experiment.load import resolved_yaml
from stilts.identity.stage import SHORT
from stilts.ledger.needs import (
    Declaration,
    Needs,
    declare,
    forget,
    let_weights_go,
    trial_declarations,
    trial_id,
)
from stilts.search.session import SearchSession
from stilts.search.study import best_of
from stilts.search.subject import Configuration


class Declarations:
    """The declared trials of one search. Only the driver that holds the lease of the search uses it."""

    def __init__(self, found: SearchSession) -> None:
        self._found, self._store = found, found.session.store
        self._name = found.session.experiment.name
        self._trials = trial_declarations(self._store, self._name)

    def declare(self, number: int, configuration: Configuration) -> None:
        """Declare a trial, with the weights of its stages. The caller must hold the lease `CLEANING`."""
        session = self._found.of(configuration)
        needs = session.needs()
        tuned = {key[:SHORT] for key in configuration.stages}
        stages = {key: replace(one, keeps=one.keeps or key in tuned) for key, one in needs.stages.items()}
        written = Declaration(self._name, trial_id(number), replace(needs, stages=stages))
        assert written.needs is not None
        declare(self._store, self._name, written.digest, resolved_yaml(session.experiment), written.needs)
        self._trials[number] = written

    def holds(self, number: int, configuration: Configuration) -> bool:
        """Whether a trial is declared, with the weights of its stages."""
        needs = self._needs(number)
        return needs is not None and all(
            key[:SHORT] in needs.stages and needs.stages[key[:SHORT]].keeps for key in configuration.stages
        )

    def reconcile(self, study: optuna.Study) -> list[str]:
        """Keep only what running trials and the best trial need. Returns short keys of the released stages."""
        trials = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
        best = best_of(study)
        keeps_all = self._found.session.experiment.runtime.keep == "all"
        let_go: list[str] = []
        for number, declaration in list(self._trials.items()):
            trial = trials.get(number)
            if trial is None or trial.state in (TrialState.FAIL, TrialState.PRUNED):
                let_go += self._stages(number)
                forget(self._store, declaration)
                del self._trials[number]
            elif trial.state == TrialState.COMPLETE and not keeps_all and best is not None and number != best.number:
                let_go += self._let_weights_go(number, trial.user_attrs.get("stages", ()))
        return let_go

    def _let_weights_go(self, number: int, stages: Sequence[str]) -> list[str]:
        keys, before = [name[-SHORT:] for name in stages], self._trials[number]
        self._trials[number] = let_weights_go(self._store, before, keys)
        return keys if self._trials[number] is not before else []

    def _needs(self, number: int) -> Needs | None:
        return self._trials[number].needs if number in self._trials else None

    def _stages(self, number: int) -> list[str]:
        needs = self._needs(number)
        return [] if needs is None else list(needs.stages)
