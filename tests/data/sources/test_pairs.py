"""Sentence pairs in every shape that they are published in."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stilts.data.sources.pairs import read_nli, read_qqp
from stilts.data.sources.plain_pairs import read_pairs
from stilts.errors import Problems, StiltsError
from stilts.tasks.base import get_task

MNLI, ANLI, SNLI, QQP, XNLI, PAWSX = (get_task(name) for name in ("mnli", "anli", "snli", "qqp", "xnli", "pawsx"))


def write(folder: Path, text: str, name: str = "f") -> list[Path]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return [path]


def jsonl(folder: Path, *rows: Any, name: str = "f") -> list[Path]:
    return write(folder, "\n".join(json.dumps(row) for row in rows), name)


def pairs(table: pa.Table) -> list[tuple[str, str, int]]:
    return [(row["text_a"], row["text_b"], row["label"]) for row in table.to_pylist()]


def test_mnli_is_the_same_from_each_of_its_shapes(tmp_path: Path) -> None:
    glue = 'index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta\t"b\tneutral\tentailment\n'
    official = {"sentence1": "a", "sentence2": '"b', "gold_label": "entailment", "genre": "x"}
    hub = {"premise": "a", "hypothesis": '"b', "label": 0}
    tables = [
        read_nli(write(tmp_path, glue), MNLI, "en"),
        read_nli(jsonl(tmp_path, official), MNLI, "en"),
        read_nli(jsonl(tmp_path, hub), MNLI, "en"),
        read_nli(write(tmp_path, 'a\t"b\tentailment\n'), MNLI, "en"),
    ]
    assert [pairs(table) for table in tables] == [[("a", '"b', 0)]] * 4


def test_a_header_is_read_with_its_label_whichever_name_it_has(tmp_path: Path) -> None:
    rte = replace(MNLI, labels=("entailment", "not_entailment"))
    text = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tnot_entailment\n"
    assert pairs(read_nli(write(tmp_path, text), rte, "en")) == [("a", "b", 1)]
    unlabelled = "index\tsentence1\tsentence2\n0\ta\tb\n"
    assert pairs(read_nli(write(tmp_path, unlabelled), rte, "en")) == [("a", "b", -1)]
    both = "sentence1\tsentence2\tlabel\tgold_label\na\tb\tneutral\tentailment\n"
    assert pairs(read_nli(write(tmp_path, both), MNLI, "en")) == [("a", "b", 0)]


def test_pairs_without_a_majority_label_are_left_out(tmp_path: Path) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "gold_label": label} for label in ("-", "neutral")]
    assert pairs(read_nli(jsonl(tmp_path, *rows), MNLI, "en")) == [("a", "b", 1)]
    hub = [{"premise": "a", "hypothesis": "b", "label": label} for label in (-1, 2)]
    assert pairs(read_nli(jsonl(tmp_path, *hub), SNLI, "en")) == [("a", "b", 2)]
    text = "gold_label\tsentence1_parse\tsentence1\tsentence2\n-\t(a)\ta\tb\ncontradiction\t(c)\tc\td\n"
    assert pairs(read_nli(write(tmp_path, text), SNLI, "en")) == [("c", "d", 2)]


def test_glue_mistakes_are_told_by_line(tmp_path: Path) -> None:
    text = "sentence1\tsentence2\tgold_label\na\tb\na\tb\tno\n"
    with pytest.raises(Problems) as caught:
        read_nli(write(tmp_path, text), MNLI, "en")
    assert "f:2: 2 columns" in caught.value.messages[0]
    assert "f:3: label 'no'" in caught.value.messages[1]


def test_jsonl_mistakes_are_told_by_line(tmp_path: Path) -> None:
    text = '{"sentence1": "a", "sentence2": "b"}\n{"sentence1": "a"}\n{oops\n[]\n'
    with pytest.raises(Problems) as caught:
        read_nli(write(tmp_path, text), MNLI, "en")
    assert [m.split("/f:")[1].split(" ")[0] for m in caught.value.messages] == ["2:", "3:", "4:"]


def test_anlis_rounds_are_read_one_after_the_other(tmp_path: Path) -> None:
    rounds = [
        jsonl(tmp_path, *({"uid": "u", "context": f"c{r}", "hypothesis": "h", "label": x} for x in "enc"), name=f"R{r}")
        for r in (1, 2, 3)
    ]
    table = read_nli([path for paths in rounds for path in paths], ANLI, "en")
    assert table["text_a"].to_pylist() == ["c1"] * 3 + ["c2"] * 3 + ["c3"] * 3
    assert table["label"].to_pylist() == [0, 1, 2] * 3
    assert len(set(table["id"].to_pylist())) == 9


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    good = {"context": "c", "hypothesis": "h", "label": "e"}
    bad = {**good, "label": "x"}
    paths = [
        *jsonl(tmp_path, good, bad, name="R1"),
        *jsonl(tmp_path, good, name="R2"),
        *jsonl(tmp_path, bad, name="R3"),
    ]
    with pytest.raises(Problems) as caught:
        read_nli(paths, ANLI, "en")
    assert [message.split("/")[-1].split(" ")[0] for message in caught.value.messages] == ["R1:2:", "R3:1:"]


def test_xnlis_own_file_holds_all_languages(tmp_path: Path) -> None:
    text = "language\tgold_label\tsentence1\tsentence2\nde\tneutral\ta\tb\nsw\tentailment\tc\td\n"
    assert pairs(read_nli(write(tmp_path, text), XNLI, "sw")) == [("c", "d", 0)]
    row = {"gold_label": "neutral", "sentence1": "a", "sentence2": "b"}
    table = read_nli(jsonl(tmp_path, {**row, "language": "de"}, {**row, "language": "sw"}), XNLI, "de")
    assert table.num_rows == 1


# Translated training data


def test_xnlis_translated_mnli_spells_one_label_its_own_way(tmp_path: Path) -> None:
    text = "premise\thypo\tlabel\nA \tb\tcontradictory\nc\td\tneutral\n"
    assert [label for *_, label in pairs(read_nli(write(tmp_path, text), MNLI, "de"))] == [2, 1]


def test_xtremes_five_columns_are_read_from_the_translation(tmp_path: Path) -> None:
    text = 'a "man"\tb\tein "Mann"\tB\tcontradictory\nc\td\tC\tD\tentailment\n'
    assert pairs(read_nli(write(tmp_path, text), XNLI, "de")) == [('ein "Mann"', "B", 2), ("C", "D", 0)]
    quoted = 'a\tb\t"ein ""Mann"""\tB\t1\nc\td\tC\tD\t0\n'
    assert pairs(read_pairs(write(tmp_path, quoted), PAWSX, "de")) == [('ein "Mann"', "B", 1), ("C", "D", 0)]


def test_torn_rows_of_a_translation_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = "a\tb\tA\tB\tneutral\n"
    text = good * 4 + "a\tb\tA\n" + "a\tb\tA\t \tneutral\n" + "a\tb\tA\tB\tc d\n"
    with caplog.at_level(logging.WARNING):
        assert read_pairs(write(tmp_path, text), XNLI, "de").num_rows == 4
    assert "3 of 7 rows are left out" in caplog.text
    with pytest.raises(StiltsError, match=r"3 of 4 rows are left out.*is it the right file"):
        read_pairs(write(tmp_path, good + "a\tb\tA\tB\tx\n" * 3), XNLI, "de")


# Ids


def test_translations_keep_their_ids_where_a_row_is_left_out(tmp_path: Path) -> None:
    """Items of parallel tasks are matched across languages by id."""
    rows = [{"sentence1": a, "sentence2": a, "gold_label": "neutral", "language": "en"} for a in "abc"]
    rows += [{**row, "language": "de"} for row in rows]
    rows[1]["gold_label"] = "-"
    files = jsonl(tmp_path, *rows)
    ids = {language: read_nli(files, XNLI, language)["id"].to_pylist() for language in ("en", "de")}
    assert ids == {"en": ["0", "2"], "de": ["0", "1", "2"]}
    header = "language\tgold_label\tsentence1\tsentence2\n"
    files = write(tmp_path, header + "de\t-\ta\ta\n" + "de\tneutral\tb\tb\nen\tneutral\ta\ta\n" + "de\tneutral\tc\tc\n")
    assert read_nli(files, XNLI, "de")["id"].to_pylist() == ["1", "2"]
    assert read_nli(jsonl(tmp_path, *rows[:3]), SNLI, "en")["id"].to_pylist() == ["0", "1"]


def test_torn_translations_keep_the_ids_of_the_other_rows(tmp_path: Path) -> None:
    text = "a\tb\tA\tB\t1\n" + "a\tb\tA\t \t1\n" + "c\td\tC\tD\t0\n"
    assert read_pairs(write(tmp_path, text), PAWSX, "de")["id"].to_pylist() == ["0", "2"]


# QQP

QQP_HEADER = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"


def test_qqps_torn_and_blank_rows_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = QQP_HEADER + '1\t1\t2\tWhat is "x"?\t"y?\t0\n2\t3\t4\tIs\nit?\tSo?\t1\n3\t5\t6\ta\tb\t1\n4\t7\t8\tc\td\t0\n'
    text += "5\t9\t10\tHow?\t\t0\n"
    with caplog.at_level(logging.WARNING):
        table = read_qqp(write(tmp_path, text), QQP, "en")
    assert pairs(table) == [('What is "x"?', '"y?', 0), ("a", "b", 1), ("c", "d", 0)]
    assert "3 of 6 rows are left out" in caplog.text


def test_qqps_test_file_has_no_labels(tmp_path: Path) -> None:
    table = read_qqp(write(tmp_path, "id\tquestion1\tquestion2\n0\ta\tb\n"), QQP, "en")
    assert pairs(table) == [("a", "b", -1)]


def test_question_pairs_without_a_header_are_read_as_they_stand(tmp_path: Path) -> None:
    assert pairs(read_qqp(write(tmp_path, "a\tb\t1\nc\td\t0\n"), QQP, "en")) == [("a", "b", 1), ("c", "d", 0)]


@pytest.mark.parametrize("read", [read_nli, read_qqp])
def test_a_header_with_a_column_twice_is_refused(tmp_path: Path, read: Any) -> None:
    text = "sentence1\tsentence2\tgold_label\tsentence2\na\tb\tneutral\tc\n"
    with pytest.raises(Problems, match="f:1: the header has sentence2 more than once"):
        read(write(tmp_path, text), MNLI, "en")


def test_rows_of_misnamed_languages_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = {"gold_label": "neutral", "sentence1": "a", "sentence2": "b"}
    rows = [{**row, "language": name} for name in ("en", "EN", "de", "English", "")]
    table = "language\tgold_label\tsentence1\tsentence2\n" + "".join(f"{r['language']}\tneutral\ta\tb\n" for r in rows)
    for paths, first in ((jsonl(tmp_path, *rows), 1), (write(tmp_path, table, "t"), 2)):
        with pytest.raises(Problems) as caught:
            read_nli(paths, XNLI, "en")
        assert caught.value.messages == [
            f"{paths[0]}:{first + line}: language {name!r} is not a lower-case code such as en"
            for line, name in ((1, "EN"), (3, "English"), (4, ""))
        ]
    known = [{**row, "language": name} for name in ("en", "de", "qaa")]
    assert read_nli(jsonl(tmp_path, *known), XNLI, "en").num_rows == 1
    assert not caplog.text
    unknown = [{**row, "language": name} for name in ("en", "eng", "en-US", "eng")]
    assert read_nli(jsonl(tmp_path, *unknown), XNLI, "en").num_rows == 1
    assert "f: 3 rows are left out because their language is that of no task ('en-US': 1, 'eng': 2)" in caplog.text
