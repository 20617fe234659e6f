"""Figures of a search: the plots of `optuna.visualization.matplotlib`."""

import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from matplotlib.figure import Figure
from optuna.trial import TrialState

from stilts.storage.local import RESULTS, LocalStore

_SCORE = "English dev score (%)"
_NO_DATES: dict[str, dict[str, None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def save_search(study: optuna.Study, folder: Path) -> list[Path]:
    """Write the plots of a study as `search-NAME.png`, `.pdf` and `.svg`; return the files.

    The plots are history, slice, parallel and importances, which show completed trials (importances needs two of them),
    and intermediate, which shows the dev scores during training. Plots without data are not written.
    """
    store, files = LocalStore(folder, RESULTS), []
    for name, plot in _plots(study):
        # Optuna draws with pyplot and sets a style for the whole process; `rc_context` restores the style.
        with warnings.catch_warnings(), matplotlib.rc_context():
            warnings.simplefilter("ignore")  # the whole module is marked as experimental
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
