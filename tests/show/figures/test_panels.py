"""Every figure of rows and lines draws the numbers of its table, and nothing where there are none."""

import pyarrow as pa
import pytest

from stilts.results.learning.curves import SCHEMA as CURVES
from stilts.results.learning.selection import SCHEMA as SELECTION
from stilts.results.robustness import SCHEMA as ROBUSTNESS
from stilts.results.seed_statistics import LANGUAGES
from stilts.results.similarity.similarity import CORRELATIONS, POINTS
from stilts.results.study import STUDY
from stilts.results.variance import VARIANCE
from stilts.show.figures import bars, learning, robustness, scatter, study

WHO = {"split": "test", "model": "base"}


def table(name, schema, rows):
    return {name: pa.Table.from_pylist([{**WHO, **row} for row in rows], schema=schema)}


def dots(panel, *markers):
    """(x, y) of the points that are drawn with one of the markers."""
    lines = [line.get_xydata().tolist() for line in panel.lines if line.get_marker() in (markers or ("o",))]
    return [tuple(point) for line in lines for point in line]


def spans(panel):
    return [
        tuple(line.get_xdata()) for line in panel.lines if line.get_marker() == "None" and len(line.get_xdata()) == 2
    ]


def titles(figure):
    return [panel.get_title(loc="left") or panel.get_title() for panel in figure.axes]


def words(panel):
    return [text.get_text() for text in panel.texts]


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


def points(regime, seed, values):
    shared = {"intermediate": regime, "target": "xnli", "seed": seed, "role": "target", "series": "dev"}
    return [{**shared, "stage": f"{regime}-{seed}", "step": step, "value": value} for step, value in values.items()]


def test_curves_are_means_of_the_steps_that_all_seeds_have():
    rows = [*points("none", 1, {20: 50.0, 40: 60.0, 60: 61.0}), *points("none", 2, {20: 54.0, 40: 62.0})]
    figure = learning.curves(table("curves", CURVES, rows), "base", "dev").figure
    panel = figure.axes[0]
    assert dots(panel) == [(20, 52.0), (40, 61.0)]
    band = panel.collections[0].get_paths()[0].vertices.tolist()
    assert [20.0, 50.0] in band
    assert [40.0, 62.0] in band


def test_long_curves_are_means_of_equally_many_steps():
    rows = [row for seed in (1, 2) for row in points("none", seed, {step: float(step) for step in range(1, 101)})]
    assert learning.over_seeds(rows) == {step: [step - 1.0] * 2 for step in range(3, 100, 3)} | {100: [100.0] * 2}


def test_selection():
    row = {"intermediate": "none", "target": "xnli", "last": 60.0, "best_dev": 61.0, "oracle": 63.0}
    rows = [{**row, "language": "mean"}, {**row, "language": "mean", "seed": 1, "last": 1.0}, {**row, "language": "sw"}]
    figure = learning.selection(table("selection", SELECTION, rows), "test", "base").figure
    assert dots(figure.axes[0], "|", "o", ">") == [(60.0, 0), (61.0, 0), (63.0, 0)]


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


def similarity(languages):
    where = {"intermediate": "mnli", "baseline": "none", "target": "all"}
    gains = [{"language": name, "gain": 1 + 2 * i, "distance_syntax": 0.1 * i} for i, name in enumerate(languages)]
    correlation = {**where, "feature": "syntax", "pearson": -0.314, "pearson_low": -0.6, "pearson_high": 0.05}
    return {
        **table("similarity_points", POINTS, [{**where, **gain} for gain in gains]),
        **table("similarity", CORRELATIONS, [correlation]),
    }


def test_scatter():
    panels = scatter.scatter(similarity(["de", "sw", "zh"]), "test", "base", "mnli").figure.axes
    assert [panel.get_title(loc="left") for panel in panels] == ["syntax"], "no panel of a distance that is not known"
    assert [y for _, y in dots(panels[0])] == [1.0, 3.0, 5.0]
    assert words(panels[0]) == ["de", "sw", "zh"]
    assert panels[0].get_title(loc="right") == "r = −0.31 [−0.60, 0.05]"
    line = next(line for line in panels[0].lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] != 0)
    assert line.get_ydata() == pytest.approx([1.0, 5.0])
    assert scatter.scatter(similarity(["de", "sw"]), "test", "base", "mnli") is None


@pytest.mark.parametrize("make", [study.study, study.variance, learning.selection])
def test_nothing_is_drawn_of_nothing(make):
    assert make({}, "test", "base") is None


def test_nothing_is_drawn_of_no_target():
    assert bars.scores({}, "test", "base", "xnli") is None
    assert robustness.robustness({}, "test", "base", "xnli") is None
    assert scatter.scatter({}, "test", "base", "mnli") is None
    assert learning.curves({}, "base", "dev") is None
