"""The figures of the study and of the variance draw the numbers of their tables."""

import pytest

from stilts.results.study import STUDY
from stilts.results.variance import VARIANCE
from stilts.show.figures import study
from tests.show.figures.reading import dots, spans, table, titles, words


def test_study():
    rows = [
        {"intermediate": "none", "tasks": 9, "mean": 50.0, "low": 49.0, "high": 51.0, "iqm": 52.0},
        {"intermediate": "mnli", "tasks": 9, "baseline": "none", "iqm": 55.0, "iqm_low": 54.0, "iqm_high": 56.0,
         "improvement": 80.0, "improvement_low": 70.0, "improvement_high": 88.0},
    ]  # fmt: skip
    figure = study.study(table("study", STUDY, rows), "test", "base").figure
    assert [dots(panel) for panel in figure.axes] == [[(50.0, 0)], [(52.0, 0), (55.0, 1)], [(80.0, 1)]]
    assert [spans(panel)[:1] for panel in figure.axes] == [[(49.0, 51.0)], [(54.0, 56.0)], [(70.0, 88.0)]]


def test_variance():
    shares = {"intermediate_share": 20.0, "target_share": 30.0, "residual_share": 50.0, "total_sd": 1.25}
    rows = [{"intermediate": "mnli", "column": "xnli", **shares}, {"intermediate": "none", "column": "xnli"}]
    figure = study.variance(table("variance", VARIANCE, rows), "test", "base").figure
    assert titles(figure) == ["mnli"]
    bars_drawn = [(bar.get_x(), bar.get_width()) for bar in figure.axes[0].patches]
    assert bars_drawn == [(0, 20.0), (20.0, 30.0), (50.0, 50.0)]
    assert words(figure.axes[0]) == ["1.2"]
    assert study.variance(table("variance", VARIANCE, rows[1:]), "test", "base") is None


def test_variance_of_parts_of_the_seed():
    rows = [
        {"intermediate": "none", "column": "xnli", "order_share": 60.0, "residual_share": 40.0, "total_sd": 1.0},
        {"intermediate": "none", "column": "pawsx", "order_share": 10.0, "residual_share": 90.0, "total_sd": 2.0},
    ]
    figure = study.variance(table("variance", VARIANCE, rows), "test", "base").figure
    assert [(bar.get_x(), bar.get_width()) for bar in figure.axes[0].patches] == [
        (0, 60.0), (60.0, 40.0), (0, 10.0), (10.0, 90.0),
    ]  # fmt: skip
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["order seed", "residual"]


@pytest.mark.parametrize("draw", [study.study, study.variance])
def test_nothing_is_drawn_without_rows(draw):
    assert draw({}, "test", "base") is None
