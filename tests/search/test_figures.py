"""The plots of a search."""

from pathlib import Path

import matplotlib
import optuna
from optuna.trial import TrialState

from stilts.search.figures import save_search
from tests.search.studies import make_study


def _plots(files: list[Path]) -> set[str]:
    return {path.stem.removeprefix("search-") for path in files}


def test_every_plot_is_written_in_three_formats(tmp_path: Path) -> None:
    style = dict(matplotlib.rcParams)
    files = save_search(make_study(), tmp_path)
    assert _plots(files) == {"history", "slice", "parallel", "importances", "intermediate"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in files)
    assert (tmp_path / "search-history.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "search-history.pdf").read_bytes().startswith(b"%PDF")
    changed = {name for name, value in style.items() if matplotlib.rcParams[name] != value}
    assert changed <= {"backend", "backend_fallback"}


def test_plots_without_data_are_not_written(tmp_path: Path) -> None:
    assert save_search(optuna.create_study(direction="maximize"), tmp_path) == []
    study = optuna.create_study(direction="maximize")
    study.add_trials([trial for trial in make_study().trials if trial.state != TrialState.COMPLETE])
    assert _plots(save_search(study, tmp_path)) == {"intermediate"}
    study.add_trial(make_study().trials[0])
    assert _plots(save_search(study, tmp_path)) == {"history", "slice", "parallel", "intermediate"}
