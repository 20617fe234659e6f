"""The best intermediates: the table's numbers in Markdown and in a terminal."""

import pytest

from stilts.show.results import analysis_files
from tests.show.conftest import cells, complete, printed


def files(analyses):
    return {name: content.decode() for name, content in analysis_files(complete(analyses)).items()}


def test_markdown_has_the_tables_numbers(analyses):
    per_target = [row for row in analyses["best"].to_pylist() if row["rule"] == "per target"]
    for row, shown in zip(per_target, cells(files(analyses)["best.md"], "target"), strict=True):
        assert shown[0] == row["target"]
        assert (f"{row['test']:.1f}" in shown[3]) if row["test"] is not None else shown[3] == "no dev score"


def test_targets_without_a_dev_score_are_named(analyses):
    assert "bucc2018, tatoeba: no dev score." in files(analyses)["best.md"]


@pytest.mark.parametrize("width", [70, 200])
def test_a_terminal_cuts_nothing_off(analyses, width):
    text = printed(analyses, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    row = next(row for row in analyses["best"].to_pylist() if row["test"] is not None)
    assert f"{row['test']:.1f}" in text
