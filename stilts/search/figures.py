"""A search's figures: those that Optuna draws of a study, in Optuna's style."""

import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from matplotlib.figure import Figure
from optuna.trial import TrialState

from stilts.storage.local import LocalStore

_SCORE = "English dev score (%)"
_NO_DATES: dict[str, dict[str, None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def save_search(study: optuna.Study, folder: Path) -> list[Path]:
    """Write history, slices, parallel coordinates, importances and intermediate values, as far as there is something to
    draw, each as `search-NAME.png`, `.pdf` and `.svg`.

    All but the last are of trials that ran to the end; the importances need two.
    """
    store, files = LocalStore(folder), []
    for name, plot in _plots(study):
        # Optuna draws through pyplot, and sets a style of its own for the whole process: both are put back.
        with warnings.catch_warnings(), matplotlib.rc_context():
            warnings.simplefilter("ignore")  # all of optuna.visualization.matplotlib is experimental
            for form, content in _rendered(plot):
                store.write(f"search-{name}.{form}", content)
                files.append(folder / f"search-{name}.{form}")
    return files


def _plots(study: optuna.Study) -> Iterator[tuple[str, Callable[[], Any]]]:
    from optuna.visualization import matplotlib as plots

    done = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    if done:
        yield "history", lambda: plots.plot_optimization_history(study, target_name=_SCORE)
        yield "slice", lambda: plots.plot_slice(study, target_name=_SCORE)
        yield "parallel", lambda: plots.plot_parallel_coordinate(study, target_name=_SCORE)
    if done > 1:
        yield "importances", lambda: plots.plot_param_importances(study)
    if any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        yield "intermediate", lambda: plots.plot_intermediate_values(study)


def _rendered(plot: Callable[[], Any]) -> Iterator[tuple[str, bytes]]:
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    drawn = plot()
    figure: Figure = (drawn.flat[0] if hasattr(drawn, "flat") else drawn).figure
    for form, metadata in _NO_DATES.items():
        content = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "search", "pdf.fonttype": 42}):
            figure.savefig(content, format=form, dpi=200, bbox_inches="tight", metadata=metadata)
        yield form, content.getvalue()
    pyplot.close(figure)
