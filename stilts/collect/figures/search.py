"""A search's figures: those that Optuna draws of a study."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib
import optuna
from optuna.trial import TrialState

from stilts.collect.figures.drawing import Drawing

_SCORE = "English dev score (%)"


def draw_search(study: optuna.Study) -> Iterator[Drawing]:
    """History, importances, parallel coordinates, slices and intermediate values, as far as there is something to draw.

    The importances need trials that ran to the end and differ; of fewer than two, only what is there is drawn.
    """
    done = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    # Optuna and Jinja-like layouts come with it: loaded where it is drawn.
    from optuna.visualization import matplotlib as plots

    if done:
        yield _drawn(
            "history", "Dev score by trial", lambda: plots.plot_optimization_history(study, target_name=_SCORE)
        )
        yield _drawn("slice", "Dev score by value", lambda: plots.plot_slice(study, target_name=_SCORE))
        yield _drawn(
            "parallel", "Values and dev score", lambda: plots.plot_parallel_coordinate(study, target_name=_SCORE)
        )
    if done > 1:
        yield _drawn("importances", "What the dev score depends on", lambda: plots.plot_param_importances(study))
    if any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        yield _drawn("intermediate", "Dev score by step", lambda: plots.plot_intermediate_values(study))


def _drawn(name: str, title: str, plot: Callable[[], Any]) -> Drawing:
    """Optuna draws through pyplot, and sets a style of its own for the whole process: both are put back."""
    from matplotlib import pyplot

    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.simplefilter("ignore")  # all of optuna.visualization.matplotlib is experimental
        pyplot.switch_backend("agg")
        found = plot()
        figure = (found.flat[0] if hasattr(found, "flat") else found).figure
        pyplot.close(figure)
    return Drawing(f"search-{name}", title, title, figure)
