"""Learning curves and the choice of a checkpoint, as drawn."""

from stilts.results.learning.curves import SCHEMA as CURVES
from stilts.results.learning.selection import SCHEMA as SELECTION
from stilts.show.figures import learning
from tests.show.figures.reading import dots, table


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


def test_nothing_is_drawn_without_rows():
    assert learning.selection({}, "test", "base") is None
    assert learning.curves({}, "base", "dev") is None
