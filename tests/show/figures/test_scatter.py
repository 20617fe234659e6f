"""Gain against distance: dots, line, correlation, and labels that do not overlap."""

import numpy as np
import pytest

from stilts.results.similarity.similarity import CORRELATIONS, POINTS
from stilts.show.figures import scatter
from stilts.show.figures.scatter import places
from tests.show.figures.reading import dots, table, words


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


def test_a_label_avoids_other_dots_and_earlier_labels():
    (alone,) = places(np.array([[50.0, 50.0]]), ["de"], 5.0)
    assert alone[2:] == ("left", "center")
    first, second = places(np.array([[50.0, 50.0], [53.0, 50.0]]), ["de", "fr"], 5.0)
    assert first[2] == "right", "the other dot is at the right"
    assert second[2] == "left"


def test_nothing_is_drawn_without_rows():
    assert scatter.scatter({}, "test", "base", "mnli") is None
