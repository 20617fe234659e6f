"""XNLI's and PAWS-X's files as XTREME's script writes them."""

from pathlib import Path

import pytest

from stilts.data.sources.plain_pairs import merge_labels, read_pairs
from stilts.errors import Problems
from stilts.tasks.base import Task, get_task
from tests.data.sources.written import messages, write

XNLI, PAWSX = get_task("xnli"), get_task("pawsx")


def test_row_one_is_an_example_and_crlf_is_no_part_of_the_label(tmp_path: Path) -> None:
    table = read_pairs([write(tmp_path, "a\tb\tneutral\r\nc\td\tentailment\r\n")], XNLI, "en")
    assert table["text_a"].to_pylist() == ["a", "c"]
    assert table["label"].to_pylist() == [1, 0]


def test_two_columns_are_an_unlabelled_test_file(tmp_path: Path) -> None:
    table = read_pairs([write(tmp_path, "a\tb\r\nc\td\r\n")], XNLI, "de")
    assert table["label"].to_pylist() == [-1, -1]


@pytest.mark.parametrize(("task", "label"), [(XNLI, "neutral"), (PAWSX, "0")])
def test_a_sentence_reads_alike_in_xnli_and_pawsx(task: Task, label: str, tmp_path: Path) -> None:
    """XTREME's script writes both with one csv writer."""
    text = f'"a" he said\t"b\t{label}\n"quoted ""twice"""\td"\t{label}\n'
    table = read_pairs([write(tmp_path, text)], task, "en")
    assert table["text_a"].to_pylist() == ['"a" he said', 'quoted "twice"']
    assert table["text_b"].to_pylist() == ['"b', 'd"']


def test_bare_quotes_do_not_join_two_rows(tmp_path: Path) -> None:
    """Each line has its three columns, though a csv reader would take both for one row of three."""
    text = '"Yes, he said.\tA\tneutral\nSo he did."\tB\tneutral\nC\tD\tneutral\n'
    table = read_pairs([write(tmp_path, text)], XNLI, "en")
    assert table["text_a"].to_pylist() == ['"Yes, he said.', 'So he did."', "C"]


def test_csv_quotes_come_off_in_pawsx_and_bare_ones_stay(tmp_path: Path) -> None:
    text = '"La ""Piste"" ."\t"""Ras"" va"\t1\r\n" nu\t"whole"\t0\r\n'
    table = read_pairs([write(tmp_path, text)], PAWSX, "fr")
    assert table["text_a"].to_pylist() == ['La "Piste" .', '" nu']
    assert table["text_b"].to_pylist() == ['"Ras" va', '"whole"']


def test_a_quoted_line_end_or_tab_is_part_of_a_pawsx_cell(tmp_path: Path) -> None:
    text = 'a\t"first\nsecond"\t1\nb\t"left\tright"\t0\nc\td\t1\n'
    table = read_pairs([write(tmp_path, text)], PAWSX, "fr")
    assert table["text_b"].to_pylist() == ["first\nsecond", "left\tright", "d"]
    assert table["label"].to_pylist() == [1, 0, 1]


def test_ns_rows_are_kept_so_that_predictions_align(tmp_path: Path) -> None:
    table = read_pairs([write(tmp_path, "NS\tNS\t0\na\tNS\t1\n")], PAWSX, "de")
    assert table["text_b"].to_pylist() == ["NS", "NS"]


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = "a\tb\tneutral\na\tb\na\tb\tmaybe\na\tb\tneutral\tx\n"
    with pytest.raises(Problems) as caught:
        read_pairs([write(tmp_path, text)], XNLI, "en")
    found = messages(caught)
    assert found[0].startswith("2: 2 columns, expected 3")
    assert found[1] == "3: label 'maybe' is not one of entailment, neutral, contradiction"
    assert found[2].startswith("4: 4 columns")


def test_labels_are_merged_in_order(tmp_path: Path) -> None:
    table = read_pairs([write(tmp_path, "a\tb\nc\td\n")], XNLI, "de")
    merged = merge_labels(table, write(tmp_path, "contradiction\r\nneutral\r\n", "gold"), XNLI)
    assert merged["label"].to_pylist() == [2, 1]
    assert merged.schema.equals(table.schema)


def test_a_labels_file_of_another_length_is_refused(tmp_path: Path) -> None:
    table = read_pairs([write(tmp_path, "a\tb\nc\td\n")], XNLI, "de")
    with pytest.raises(Problems, match="1 labels for 2 test rows"):
        merge_labels(table, write(tmp_path, "neutral\n", "gold"), XNLI)


@pytest.mark.parametrize("header", ["sentence1\tsentence2", "Sentence 1\tSentence 2", "premise\thypo"])
def test_a_header_is_no_example(tmp_path: Path, header: str) -> None:
    with pytest.raises(Problems) as caught:
        read_pairs([write(tmp_path, f"{header}\na\tb\n")], PAWSX, "de")
    (message,) = messages(caught)
    assert message.startswith(f"1: {header.replace(chr(9), ' and ')} are names of columns; this format has no header")
    read_pairs([write(tmp_path, "premise\tb\n")], PAWSX, "de")
