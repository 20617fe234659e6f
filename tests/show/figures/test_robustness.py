"""Scores against the rate of noise, as drawn."""

from stilts.results.robustness import SCHEMA as ROBUSTNESS
from stilts.show.figures import robustness
from tests.show.figures.reading import dots, table, titles


def test_robustness():
    clean = {"clean": 70.0, "clean_low": 69.0, "clean_high": 71.0, "language": "mean", "target": "xnli"}
    clean |= {"n": 2, "planned": 3}
    noisy = {0.2: {"noisy": 60.0, "noisy_low": 58.0, "noisy_high": 62.0}, 0.1: {"noisy": 66.0}}
    rows = [
        {**clean, "intermediate": "none", "noise": "swap", "rate": rate, **scores} for rate, scores in noisy.items()
    ]
    figure = robustness.robustness(table("robustness", ROBUSTNESS, rows), "test", "base", "xnli").figure
    assert titles(figure) == ["swap"]
    assert dots(figure.axes[0]) == [(0.0, 70.0), (0.1, 66.0), (0.2, 60.0)]
    assert figure.axes[0].lines[0].get_markerfacecolor() == "none", "a seed is lacking"


def test_robustness_by_language():
    row = {"clean": 70.0, "intermediate": "none", "target": "xnli", "n": 2, "planned": 2, "rate": 0.1}
    scores = {("swap", "mean"): 60.0, ("swap", "sw"): 50.0, ("swap", "de"): 65.0, ("drop", "de"): 68.0}
    rows = [{**row, "noise": kind, "language": language, "noisy": score} for (kind, language), score in scores.items()]
    tables = table("robustness", ROBUSTNESS, rows)
    figure = robustness.by_language(tables, "test", "base", "xnli", "swap").figure
    assert titles(figure) == ["sw", "de"]
    assert [dots(axes) for axes in figure.axes[:2]] == [[(0.0, 70.0), (0.1, 50.0)], [(0.0, 70.0), (0.1, 65.0)]]
    assert robustness.by_language(tables, "test", "base", "xnli", "casing") is None


def test_nothing_is_drawn_without_rows():
    assert robustness.robustness({}, "test", "base", "xnli") is None
