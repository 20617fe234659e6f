"""Digests depend on values alone; files appear whole."""

from pathlib import Path

import pyarrow as pa
import pytest

from stilts.data.tables import digest_table, read_table, write_table
from stilts.tasks.schema import SPAN_QA, TAGGING

ROWS = [
    {"id": "0", "context": "Köln am Rhein", "question": "Wo?", "answers": [{"text": "Köln", "start": 0}]},
    {"id": "1", "context": "", "question": "", "answers": []},
    {
        "id": "2",
        "context": "东京",
        "question": "?",
        "answers": [{"text": "东", "start": 0}, {"text": "京", "start": 1}],
    },
]
TABLE = pa.Table.from_pylist(ROWS, schema=SPAN_QA)


def test_golden_digest() -> None:
    """Moves only with DIGEST_VERSION and a line in the changelog: stored keys hang on it."""
    assert digest_table(TABLE) == "78f1205466240269e9884bcdf52fb8364d38f2de36e064ca0a0ff49b0dd944e4"


def test_chunks_and_slices_do_not_matter() -> None:
    chunked = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 0), TABLE.slice(1)])
    assert digest_table(chunked) == digest_table(TABLE)
    assert digest_table(TABLE.slice(1)) == digest_table(pa.Table.from_pylist(ROWS[1:], schema=SPAN_QA))


def test_values_matter_and_so_do_their_borders() -> None:
    def digest(tokens: list[list[str]]) -> str:
        rows = [{"id": "0", "tokens": t, "tags": []} for t in tokens]
        return digest_table(pa.Table.from_pylist(rows, schema=TAGGING))

    variants = [[["ab", "c"]], [["a", "bc"]], [["abc"]], [["ab"], ["c"]], [["ab", "c"], []], [["ab", "d"]]]
    assert len({digest(tokens) for tokens in variants}) == len(variants)


def test_nulls_are_refused() -> None:
    with pytest.raises(ValueError, match="no nulls"):
        digest_table(pa.table({"id": ["a", None]}))


def test_a_file_reads_back_with_its_digest(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "a" / "t.arrow")
    table = read_table(tmp_path / "a" / "t.arrow")
    assert table.equals(TABLE)
    assert digest_table(table) == digest_table(TABLE)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["t.arrow"]
