"""XTREME's formats and their traps."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stilts.data.sources import layouts, xtreme
from stilts.errors import Problems, StiltsError
from stilts.tasks.base import Task, get_task

XNLI, PAWSX, UDPOS, PANX = (get_task(name) for name in ("xnli", "pawsx", "udpos", "panx"))


def write(tmp_path: Path, text: str, name: str = "f.tsv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def messages(error: pytest.ExceptionInfo[Problems]) -> list[str]:
    return [message.split("f.tsv:")[-1] for message in error.value.messages]


# Pairs


def test_row_one_is_an_example_and_crlf_is_no_part_of_the_label(tmp_path: Path) -> None:
    table = xtreme.read_pairs([write(tmp_path, "a\tb\tneutral\r\nc\td\tentailment\r\n")], XNLI, "en")
    assert table["text_a"].to_pylist() == ["a", "c"]
    assert table["label"].to_pylist() == [1, 0]


def test_two_columns_are_an_unlabelled_test_file(tmp_path: Path) -> None:
    table = xtreme.read_pairs([write(tmp_path, "a\tb\r\nc\td\r\n")], XNLI, "de")
    assert table["label"].to_pylist() == [-1, -1]


@pytest.mark.parametrize(("task", "label"), [(XNLI, "neutral"), (PAWSX, "0")])
def test_a_sentence_reads_alike_in_xnli_and_pawsx(task: Task, label: str, tmp_path: Path) -> None:
    """XTREME's script writes both with one csv writer."""
    text = f'"a" he said\t"b\t{label}\n"quoted ""twice"""\td"\t{label}\n'
    table = xtreme.read_pairs([write(tmp_path, text)], task, "en")
    assert table["text_a"].to_pylist() == ['"a" he said', 'quoted "twice"']
    assert table["text_b"].to_pylist() == ['"b', 'd"']


def test_bare_quotes_do_not_join_two_rows(tmp_path: Path) -> None:
    """Each line has its three columns, though a csv reader would take both for one row of three."""
    text = '"Yes, he said.\tA\tneutral\nSo he did."\tB\tneutral\nC\tD\tneutral\n'
    table = xtreme.read_pairs([write(tmp_path, text)], XNLI, "en")
    assert table["text_a"].to_pylist() == ['"Yes, he said.', 'So he did."', "C"]


def test_csv_quotes_come_off_in_pawsx_and_bare_ones_stay(tmp_path: Path) -> None:
    text = '"La ""Piste"" ."\t"""Ras"" va"\t1\r\n" nu\t"whole"\t0\r\n'
    table = xtreme.read_pairs([write(tmp_path, text)], PAWSX, "fr")
    assert table["text_a"].to_pylist() == ['La "Piste" .', '" nu']
    assert table["text_b"].to_pylist() == ['"Ras" va', '"whole"']


def test_a_quoted_line_end_or_tab_is_part_of_a_pawsx_cell(tmp_path: Path) -> None:
    text = 'a\t"first\nsecond"\t1\nb\t"left\tright"\t0\nc\td\t1\n'
    table = xtreme.read_pairs([write(tmp_path, text)], PAWSX, "fr")
    assert table["text_b"].to_pylist() == ["first\nsecond", "left\tright", "d"]
    assert table["label"].to_pylist() == [1, 0, 1]


def test_ns_rows_are_kept_so_that_predictions_align(tmp_path: Path) -> None:
    table = xtreme.read_pairs([write(tmp_path, "NS\tNS\t0\na\tNS\t1\n")], PAWSX, "de")
    assert table["text_b"].to_pylist() == ["NS", "NS"]


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = "a\tb\tneutral\na\tb\na\tb\tmaybe\na\tb\tneutral\tx\n"
    with pytest.raises(Problems) as caught:
        xtreme.read_pairs([write(tmp_path, text)], XNLI, "en")
    found = messages(caught)
    assert found[0].startswith("2: 2 columns, expected 3")
    assert found[1] == "3: label 'maybe' is not one of entailment, neutral, contradiction"
    assert found[2].startswith("4: 4 columns")


def test_labels_are_merged_in_order(tmp_path: Path) -> None:
    table = xtreme.read_pairs([write(tmp_path, "a\tb\nc\td\n")], XNLI, "de")
    merged = xtreme.merge_labels(table, write(tmp_path, "contradiction\r\nneutral\r\n", "gold"), XNLI)
    assert merged["label"].to_pylist() == [2, 1]
    assert merged.schema.equals(table.schema)


def test_a_labels_file_of_another_length_is_refused(tmp_path: Path) -> None:
    table = xtreme.read_pairs([write(tmp_path, "a\tb\nc\td\n")], XNLI, "de")
    with pytest.raises(Problems, match="1 labels for 2 test rows"):
        xtreme.merge_labels(table, write(tmp_path, "neutral\n", "gold"), XNLI)


# Tags


def test_sentences_end_at_blank_lines_and_at_the_end_of_the_file(tmp_path: Path) -> None:
    table = xtreme.read_tags([write(tmp_path, "A\tDET\r\nb\tNOUN\r\n\r\n\r\nc\tVERB")], UDPOS, "en")
    assert table["tokens"].to_pylist() == [["A", "b"], ["c"]]
    assert table["tags"].to_pylist() == [["DET", "NOUN"], ["VERB"]]


def test_token_only_files_are_unlabelled(tmp_path: Path) -> None:
    table = xtreme.read_tags([write(tmp_path, "A\nb\n\nc\n\n")], UDPOS, "en")
    assert table["tags"].to_pylist() == [[], []]


def test_raw_panx_prefixes_come_off_only_where_every_token_has_one(tmp_path: Path) -> None:
    raw = xtreme.read_tags([write(tmp_path, "de:Köln\tB-LOC\n\nde:de:x\tO\n")], PANX, "de")
    assert raw["tokens"].to_pylist() == [["Köln"], ["de:x"]]
    clean = xtreme.read_tags([write(tmp_path, "de:x\tO\nKöln\tB-LOC\n")], PANX, "de")
    assert clean["tokens"].to_pylist() == [["de:x", "Köln"]]


def test_wrong_tags_and_columns_are_told_by_line(tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        xtreme.read_tags([write(tmp_path, "a\tNOUN\nb\tNN\n\nc\nd\tX\tY\n")], UDPOS, "en")
    found = messages(caught)
    assert found[0].startswith("2: tag 'NN' is not one of ADJ")
    assert [m[:9] for m in found[1:]] == ["4: 1 colu", "5: 3 colu"]


def test_tags_are_merged_by_sentence(tmp_path: Path) -> None:
    table = xtreme.read_tags([write(tmp_path, "A\nb\n\nc\n\n")], UDPOS, "en")
    merged = xtreme.merge_tags(table, write(tmp_path, "DET\nNOUN\n\nX\n\n", "gold"), UDPOS)
    assert merged["tags"].to_pylist() == [["DET", "NOUN"], ["X"]]


def test_a_sentence_with_another_number_of_tags_is_told(tmp_path: Path) -> None:
    table = xtreme.read_tags([write(tmp_path, "A\nb\n\nc\n\n")], UDPOS, "en")
    with pytest.raises(Problems, match="gold:3: 2 tags for the 1 tokens"):
        xtreme.merge_tags(table, write(tmp_path, "DET\n\nX\nX\n", "gold"), UDPOS)


# Questions


def squad(
    tmp_path: Path, *questions: dict[str, Any], context: str = "Der Bär 🐻 schläft.", name: str = "q.json"
) -> Path:
    paragraphs = [{"context": context, "qas": [{"question": "Wer?", **q} for q in questions]}]
    return write(tmp_path, json.dumps({"data": [{"paragraphs": paragraphs}]}, indent=1), name)


def read(path: Path) -> pa.Table:
    return xtreme.read_squad([path], get_task("xquad"), "de")


def test_answers_count_code_points(tmp_path: Path) -> None:
    table = read(squad(tmp_path, {"id": "1", "answers": [{"answer_start": 10, "text": "schläft"}]}))
    assert table["answers"].to_pylist() == [[{"text": "schläft", "start": 10}]]


def test_blanked_answers_are_no_gold(tmp_path: Path) -> None:
    table = read(squad(tmp_path, {"id": "1", "answers": [{"answer_start": 0, "text": ""}]}))
    assert table["answers"].to_pylist() == [[]]


def test_ids_may_repeat(tmp_path: Path) -> None:
    answers = [{"answer_start": 4, "text": "Bär"}]
    assert read(squad(tmp_path, {"id": 0, "answers": answers}, {"id": 0, "answers": answers}))["id"].to_pylist() == [
        "0",
        "0",
    ]


def test_an_answer_that_is_not_at_its_offset_is_told_by_line(tmp_path: Path) -> None:
    # As if offsets counted UTF-8 bytes or UTF-16 units.
    path = squad(tmp_path, {"id": "q7", "answers": [{"answer_start": 11, "text": "schläft"}]})
    line = next(n for n, text in enumerate(path.read_text().split("\n"), 1) if '"q7"' in text)
    with pytest.raises(Problems, match=rf"q\.json:{line}: question q7: the context has 'chläft\.' at character 11"):
        read(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("[]", "f.tsv:1: Input should be an object"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "data.0.paragraphs.0.context: Field required"),
        ('{"data": [3]}', "data.0: Input should be an object"),
        ('{"data": []}', "no questions in it"),
    ],
)
def test_json_of_another_shape_is_told(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(Problems, match=re.escape(message)):
        read(write(tmp_path, data))


def test_half_a_surrogate_pair_is_told(tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match="surrogate"):
        read(
            write(
                tmp_path,
                r'{"data":[{"paragraphs":[{"context":"\ud83d","qas":[{"id":"1","question":"","answers":[]}]}]}]}',
            )
        )


def test_answers_are_merged_by_id(tmp_path: Path) -> None:
    table = read(squad(tmp_path, {"id": "1", "answers": []}, {"id": "2", "answers": []}))
    gold = squad(
        tmp_path,
        {"id": "2", "answers": [{"answer_start": 4, "text": "Bär"}]},
        {"id": "1", "answers": [{"answer_start": 0, "text": "Der"}]},
        name="gold.json",
    )
    merged = xtreme.merge_answers(table, gold, get_task("xquad"))
    assert [[a["text"] for a in row] for row in merged["answers"].to_pylist()] == [["Der"], ["Bär"]]


def test_a_question_without_gold_is_told(tmp_path: Path) -> None:
    table = read(squad(tmp_path, {"id": "1", "answers": []}))
    with pytest.raises(Problems, match="no answer to question '1'"):
        xtreme.merge_answers(table, squad(tmp_path, {"id": "9", "answers": []}, name="gold.json"), get_task("xquad"))


# Retrieval


def tatoeba(tmp_path: Path) -> pa.Table:
    paths = [write(tmp_path, "Zebra\nAffe\n", "x.de"), write(tmp_path, "Ape\nZebra\n", "x.en")]
    return xtreme.read_tatoeba(paths, get_task("tatoeba"), "de")


def test_tatoeba_gold_is_the_line_of_the_foreign_file(tmp_path: Path) -> None:
    merged = xtreme.merge_lines(tatoeba(tmp_path), write(tmp_path, "1\n0\n", "gold"), get_task("tatoeba"))
    rows = merged.to_pylist()
    assert rows[2] == {"side": "en", "id": "0", "text": "Ape", "gold": ["1"]}
    assert [row["gold"] for row in rows[:2]] == [[], []]


def test_tatoeba_gold_out_of_range_is_told(tmp_path: Path) -> None:
    with pytest.raises(Problems, match="gold:2: '2' is not a line number from 0 to 1"):
        xtreme.merge_lines(tatoeba(tmp_path), write(tmp_path, "1\n2\n", "gold"), get_task("tatoeba"))


def test_bucc_pairs_hang_on_the_foreign_side(tmp_path: Path) -> None:
    stem = str(tmp_path / "zh-en.dev")
    write(tmp_path, "zh-1\t一\nzh-2\t二\n", "zh-en.dev.zh")
    write(tmp_path, "en-1\tone\ten\nen-2\ttwo\n", "zh-en.dev.en")
    write(tmp_path, "zh-2\ten-2\n", "zh-en.dev.gold")
    paths = layouts.parts(get_task("bucc2018"), stem.replace("zh-en", "{lang}-en"), "zh")
    rows = xtreme.read_bucc(paths, get_task("bucc2018"), "zh").to_pylist()
    assert [row["gold"] for row in rows] == [[], ["en-2"], [], []]
    assert rows[2]["text"] == "one\ten"


def test_bucc_gold_of_unknown_ids_is_told(tmp_path: Path) -> None:
    paths = [write(tmp_path, text, name) for text, name in (("zh-1\t一", "a"), ("en-1\tone", "b"), ("en-1\tzh-1", "g"))]
    with pytest.raises(Problems, match=r"g:1: .* is not a pair of ids"):
        xtreme.read_bucc(paths, get_task("bucc2018"), "zh")
