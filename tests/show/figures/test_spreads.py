"""Seed spreads: the seeds of the results, the mean and interval of the summary, and what is lacking."""

import pyarrow as pa
import pytest

from stilts.results.scores import task_scores
from stilts.results.seed_statistics import SUMMARY
from stilts.results.table import benchmark_of
from stilts.show.figures.spreads import spreads


def lines(panel, marker):
    return [list(line.get_xdata()) for line in panel.lines if line.get_marker() == marker]


def test_dots_are_seeds_and_bars_are_the_summary(study):
    tables = study(regimes=3, targets=2)
    figure = spreads(tables, "test", "xlmr-large").figure
    scores = task_scores(tables["results"].to_pylist(), benchmark_of(tables["results"]))
    for panel, target in zip(figure.axes, ("pawsx", "xnli"), strict=True):
        assert panel.get_title(loc="left") == target
        rows = [row for row in tables["summary"].to_pylist() if row["column"] == target]
        expected = [[s.value for s in scores[("xlmr-large", row["intermediate"]), target].values()] for row in rows]
        assert lines(panel, "o") == expected
        assert lines(panel, "|") == [[row["mean"]] for row in rows]
        assert [x for x in lines(panel, "None") if x[0] != x[1]] == [[row["low"], row["high"]] for row in rows]


def test_what_is_lacking_is_counted_in_the_margin(study):
    tables = study(regimes=3, targets=1)
    rows = tables["summary"].to_pylist()
    rows[1] |= {"failed": 1, "diverged": 1, "n": 3}
    rows[2] |= {"n": 0, "missing": 5, "mean": None, "low": None, "high": None}
    tables["summary"] = pa.Table.from_pylist(rows, schema=SUMMARY)
    panel = spreads(tables, "test", "xlmr-large").figure.axes[0]
    assert [text.get_text() for text in panel.texts] == ["", "1 failed, 1 diverged", "missing"]
    assert len(lines(panel, "|")) == 2


@pytest.mark.parametrize("tables", [{}, None])
def test_nothing_is_drawn_of_nothing(study, tables):
    assert spreads(study() if tables is None else tables, "dev", "xlmr-large") is None
