"""Files of one token a line."""

from dataclasses import replace
from pathlib import Path

import pytest

from stilts.data.sources.tags import merge_tags, read_tags
from stilts.errors import Problems
from stilts.tasks.base import get_task
from tests.data.sources.written import messages, write

UDPOS, PANX = get_task("udpos"), get_task("panx")


def test_sentences_end_at_blank_lines_and_at_the_end_of_the_file(tmp_path: Path) -> None:
    table = read_tags([write(tmp_path, "A\tDET\r\nb\tNOUN\r\n\r\n\r\nc\tVERB")], UDPOS, "en")
    assert table["tokens"].to_pylist() == [["A", "b"], ["c"]]
    assert table["tags"].to_pylist() == [["DET", "NOUN"], ["VERB"]]


def test_token_only_files_are_unlabelled(tmp_path: Path) -> None:
    table = read_tags([write(tmp_path, "A\nb\n\nc\n\n")], UDPOS, "en")
    assert table["tags"].to_pylist() == [[], []]


def test_raw_panx_prefixes_come_off_only_where_every_token_has_one(tmp_path: Path) -> None:
    raw = read_tags([write(tmp_path, "de:Köln\tB-LOC\n\nde:de:x\tO\n")], PANX, "de")
    assert raw["tokens"].to_pylist() == [["Köln"], ["de:x"]]
    clean = read_tags([write(tmp_path, "de:x\tO\nKöln\tB-LOC\n")], PANX, "de")
    assert clean["tokens"].to_pylist() == [["de:x", "Köln"]]


def test_wrong_tags_and_columns_are_told_by_line(tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        read_tags([write(tmp_path, "a\tNOUN\nb\tNN\n\nc\nd\tX\tY\n")], UDPOS, "en")
    found = messages(caught)
    assert found[0].startswith("2: tag 'NN' is not one of ADJ")
    assert [m[:9] for m in found[1:]] == ["4: 1 colu", "5: 3 colu"]


def test_tags_are_merged_by_sentence(tmp_path: Path) -> None:
    table = read_tags([write(tmp_path, "A\nb\n\nc\n\n")], UDPOS, "en")
    merged = merge_tags(table, write(tmp_path, "DET\nNOUN\n\nX\n\n", "gold"), UDPOS)
    assert merged["tags"].to_pylist() == [["DET", "NOUN"], ["X"]]


def test_a_sentence_with_another_number_of_tags_is_told(tmp_path: Path) -> None:
    table = read_tags([write(tmp_path, "A\nb\n\nc\n\n")], UDPOS, "en")
    with pytest.raises(Problems, match="gold:3: 2 tags for the 1 token "):
        merge_tags(table, write(tmp_path, "DET\n\nX\nX\n", "gold"), UDPOS)


@pytest.mark.parametrize("header", ["token", "Token\tTag", "word\tlabel", "form\tupos"])
def test_a_header_is_no_token(tmp_path: Path, header: str) -> None:
    row = "A\tDET\n" if "\t" in header else "A\n"
    with pytest.raises(Problems) as caught:
        read_tags([write(tmp_path, f"\n{header}\n{row}")], replace(UDPOS, labels=()), "en")
    assert messages(caught) == [f"2: {header!r} is a header, which this format does not have; take the line away"]
    assert read_tags([write(tmp_path, "word\n#\n\ntoken\n")], UDPOS, "en")["tokens"].to_pylist() == [
        ["word", "#"],
        ["token"],
    ]


@pytest.mark.parametrize("tag", ["", "\tX"])
def test_document_marks_and_comments_are_skipped_with_a_count(
    tmp_path: Path, tag: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"-DOCSTART-{tag}\n\n# sent_id = 1\n# text = A b\nA{tag}\nb{tag}\n-DOCSTART- -X- O\n#{tag}\n"
    table = read_tags([write(tmp_path, text)], UDPOS, "en")
    assert table["tokens"].to_pylist() == [["A", "b"], ["#"]]
    assert "f.tsv: 4 lines are skipped: -DOCSTART- lines and comments (# ...)" in caplog.text
