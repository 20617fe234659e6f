"""Published results: the run's own scores beside them where they are comparable."""

import pyarrow as pa

from stilts.show.results import analysis_files
from tests.show.conftest import complete, printed


def test_markdown_has_the_tables_numbers(analyses):
    comparable = next(row for row in analyses["published"].to_pylist() if row["ours"] is not None)
    text = analysis_files(complete(analyses))["published.md"].decode()
    assert f"{comparable['ours']:.1f} \\[" in text


def test_published_numbers_are_printed_only_beside_our_own(analyses):
    assert "beside published results" in printed(analyses, 150)
    note = pa.array(["0 of 15 languages"] * len(analyses["published"]))
    none = pa.nulls(len(analyses["published"]), pa.float64())
    names = analyses["published"].schema.names
    published = analyses["published"].set_column(names.index("ours"), "ours", none)
    published = published.set_column(names.index("note"), "note", note)
    assert "beside published results" not in printed({**analyses, "published": published}, 150)
