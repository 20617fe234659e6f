"""A search as YAML, and an Optuna study with a trial in each state."""

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

SPACE = {"learning_rate": FloatDistribution(1e-5, 1e-3, log=True), "batch_size": CategoricalDistribution([16, 32])}


SEARCH = """\
name: search
store: {folder}/store
results: {folder}/results
seeds: [1, 2]
models:
  base: {{hub: a/b, revision: c23d21b}}
intermediates: [none]
targets: [xnli]
recipe: {{max_steps: 40, batch_size: 32, evaluate_every: 10}}
search:
  target: xnli
  space:
    learning_rate: {{low: 1e-6, high: 1e-3, log: true}}
    batch_size: {{choices: [16, 32]}}
  trials: 6
"""


def make_study() -> optuna.Study:
    """Two completed trials, the second better, one stopped early, one failed, and one running."""
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            _trial(TrialState.COMPLETE, 1e-4, [59.0, 61.0], {10: 50.0, 20: 59.0}, "done"),
            _trial(TrialState.PRUNED, 9e-4, [], {10: 40.0}, "stopped"),
            _trial(TrialState.FAIL, 5e-4, [], {}, "failed", "out of memory"),
            _trial(TrialState.COMPLETE, 3e-4, [70.0], {10: 60.0, 20: 70.0}, "done"),
            _trial(TrialState.RUNNING, 2e-4, [], {}),
        ]
    )
    return study


def _trial(
    state: TrialState, rate: float, scores: list[float], curve: dict[int, float], ended: str = "", message: str = ""
) -> FrozenTrial:
    attributes = {"scores": scores, "message": message, **({"ended": ended} if ended else {})}
    return create_trial(
        state=state,
        value=sum(scores) / len(scores) if scores else None,
        params={"learning_rate": rate, "batch_size": 16},
        distributions=SPACE,
        intermediate_values=curve,
        user_attrs=attributes,
    )
