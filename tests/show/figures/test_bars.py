"""Scores by language: dots, intervals and the baseline behind the others."""

from stilts.results.seed_statistics import LANGUAGES
from stilts.show.figures import bars
from tests.show.figures.reading import dots, spans, table, titles, words


def test_scores_by_language():
    rows = [
        {"intermediate": "none", "language": "en", "planned": 5, "n": 5, "mean": 60.0, "low": 59.0, "high": 61.0},
        {"intermediate": "none", "language": "sw", "planned": 5, "n": 0, "failed": 5},
        {"intermediate": "mnli", "language": "en", "planned": 5, "n": 4, "failed": 1, "mean": 63.0, "baseline": "none"},
        {"intermediate": "mnli", "language": "sw", "planned": 5, "n": 5, "mean": 40.0, "low": 38.0, "high": 42.0},
    ]
    tables = table("languages", LANGUAGES, [{**row, "target": "xnli"} for row in rows])
    figure = bars.scores(tables, "test", "base", "xnli").figure
    assert titles(figure) == ["none", "mnli"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["en", "sw"]
    assert [dots(panel) for panel in figure.axes] == [[(60.0, 0)], [(63.0, 0), (40.0, 1)]]
    assert [spans(panel)[:1] for panel in figure.axes] == [[(59.0, 61.0)], [(38.0, 42.0)]]
    assert dots(figure.axes[1], "|") == [(60.0, 0)], "the baseline behind the other"
    assert words(figure.axes[0]) == ["failed"]
    fills = [line.get_markerfacecolor() for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert fills[0] == "none" != fills[1], "hollow where a seed is lacking"


def test_nothing_is_drawn_without_rows():
    assert bars.scores({}, "test", "base", "xnli") is None
