"""The heat maps draw the numbers of their tables, mark what is significant, and say why a number is not there."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stilts.results.seed_statistics import SUMMARY
from stilts.show.figures.heatmap import languages, transfer
from stilts.show.figures.style import DIVERGING


def texts(drawing):
    return [text.get_text() for text in drawing.figure.axes[0].texts]


def labels(drawing):
    axes = drawing.figure.axes[0]
    return [[tick.get_text() for tick in ticks] for ticks in (axes.get_yticklabels(), axes.get_xticklabels())]


def drawn(drawing):
    rows, columns = map(len, labels(drawing))
    return np.array(drawing.figure.axes[0].collections[0].get_array()).reshape(rows, columns)


def test_cells_are_the_differences_of_the_table(study):
    tables = study(regimes=4, targets=3)
    drawing = transfer(tables, "test", "xlmr-large")
    found = {(row["intermediate"], row["column"]): row["difference"] for row in tables["summary"].to_pylist()}
    regimes, columns = ["anli_plus", "mnli", "qqp"], ["pawsx", "xnli", "panx", "xtreme"]
    assert labels(drawing) == [regimes, columns]
    assert drawn(drawing).tolist() == [[found[regime, column] for column in columns] for regime in regimes]


def test_colours_are_symmetric_around_nothing(study):
    mesh = transfer(study(), "test", "xlmr-large").figure.axes[0].collections[0]
    assert mesh.norm.vmin == -mesh.norm.vmax
    assert mesh.norm.vmax == np.abs(mesh.get_array()).max()
    assert DIVERGING(0.5)[3] == 0
    assert DIVERGING(0.0)[3] == DIVERGING(1.0)[3] > 0.5


def compared(difference=None, low=None, high=None, p_holm=None, **others):
    return {"difference": difference, "difference_low": low, "difference_high": high, "p_holm": p_holm, **others}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (compared(1.24, 0.2, 2.2, p_holm=0.049), ["+1.2*", "[+0.2, +2.2]"]),
        (compared(-0.04, -1.0, 0.9, p_holm=0.05), ["0.0", "[−1.0, +0.9]"]),
        (compared(-1.2, -2.0, -0.4, p_holm=0.5, difference_n=3), ["−1.2", "[−2.0, −0.4]", "n=3"]),
        (compared(1.2, difference_n=1), ["+1.2", "n=1"]),
        (compared(n=0, failed=5, difference_n=0), ["failed"]),
        (compared(n=1, diverged=1, missing=3, difference_n=0), ["1 diverged, 3 missing"]),
        (compared(difference_n=0), ["no pair"]),
    ],
)
def test_what_a_cell_says(study, fields, expected):
    tables = study(regimes=2, targets=2)
    rows = tables["summary"].to_pylist()
    rows[2] |= fields
    tables["summary"] = pa.Table.from_pylist(rows, schema=SUMMARY)
    assert texts(transfer(tables, "test", "xlmr-large"))[: len(expected)] == expected


def test_languages_of_one_target_stand_in_the_tables_order(study):
    tables = study(regimes=3, targets=2, languages=4)
    drawing = languages(tables, "test", "xlmr-large", "xnli")
    assert labels(drawing) == [["ar", "he", "vi", "id", "mean"], ["anli_plus", "mnli"]]
    first = tables["languages"].filter((pc.field("target") == "xnli") & (pc.field("intermediate") == "anli_plus"))
    assert drawn(drawing)[:, 0].tolist() == first["difference"].to_pylist()


def test_nothing_is_drawn_of_nothing(study):
    tables = study(regimes=1, targets=2)
    assert transfer(tables, "test", "xlmr-large") is None
    assert transfer({}, "test", "xlmr-large") is None
    assert transfer(study(targets=1), "dev", "xlmr-large") is None
    assert languages(tables, "test", "xlmr-large", "xnli") is None
