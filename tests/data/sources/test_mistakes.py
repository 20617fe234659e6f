"""What people write into files by mistake: told in the file that has it, with the line from 1."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stilts.data.labels import check_scheme
from stilts.data.prepare import Catalog
from stilts.data.sources.files import get_format
from stilts.errors import Problems, StiltsError
from stilts.experiment.data import DataDecl, TaskSource
from stilts.tasks.base import get_task


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def told(name: str, *paths: Path, language: str = "de") -> list[str]:
    """What is said of files."""
    task = get_task(name)
    with pytest.raises(StiltsError) as caught:
        get_format(task).read(paths, task, language)
    found = caught.value.messages if isinstance(caught.value, Problems) else [str(caught.value)]
    return [message.removeprefix(f"{paths[0].parent}/") for message in found]


# Blank texts


def test_a_blank_line_on_a_side_of_tatoeba_is_told_in_its_file(tmp_path: Path) -> None:
    foreign, english = write(tmp_path, "de-en.de", "a\nb\nc\n"), write(tmp_path, "de-en.en", "a\n \nc\n")
    assert told("tatoeba", foreign, english) == ["de-en.en:2: sentence is empty"]
    assert told("tatoeba", write(tmp_path, "x.de", "a\n\nc\n"), english) == ["x.de:2: sentence is empty"]


def test_unequal_sides_of_tatoeba_are_told(tmp_path: Path) -> None:
    foreign, english = write(tmp_path, "de-en.de", "a\nb\nc\n"), write(tmp_path, "de-en.en", "a\nb\n")
    (message,) = told("tatoeba", foreign, english)
    assert message.startswith("de-en.en:3: 2 lines for 3 lines of ")


def test_a_blank_sentence_on_a_side_of_bucc_is_told_in_its_file(tmp_path: Path) -> None:
    foreign = write(tmp_path, "de-en.de", "de-1\tein\nde-2\tzwei\n")
    english = write(tmp_path, "de-en.en", "en-1\tone\nen-2\t \n")
    assert told("bucc2018", foreign, english) == ["de-en.en:2: sentence is empty"]


@pytest.mark.parametrize(
    ("name", "file", "text", "said"),
    [
        ("xnli", "f.tsv", "a\tb\tneutral\n \tb\tneutral\n", ["f.tsv:2: sentence 1 is empty"]),
        ("pawsx", "f.tsv", "a\tb\t1\na\t\t0\n", ["f.tsv:2: sentence 2 is empty"]),
        ("mnli", "f.jsonl", '{"premise": "a", "hypothesis": " ", "label": 0}\n', ["f.jsonl:1: sentence 2 is empty"]),
        ("mnli", "f.tsv", "premise\thypothesis\tlabel\na\t\t0\n", ["f.tsv:2: sentence 2 is empty"]),
        (
            "copa",
            "f.jsonl",
            '{"premise": "a", "choice1": "", "choice2": "c", "question": "cause", "label": 0}\n',
            ["f.jsonl:1: choice 1 is empty"],
        ),
        ("panx", "f.tsv", "a\tO\n \tO\n", ["f.tsv:2: token is empty"]),
    ],
)
def test_a_blank_text_is_told_by_line(name: str, file: str, text: str, said: list[str], tmp_path: Path) -> None:
    assert told(name, write(tmp_path, file, text)) == said


@pytest.mark.parametrize(
    ("file", "row"),
    [
        ("f.jsonl", '{"premise": null, "hypothesis": "b", "label": 0}\n'),
        ("f.jsonl", '{"premise": 3, "hypothesis": "b", "label": 0}\n'),
        ("f.jsonl", '{"premise": "a", "hypothesis": "b", "label": 1.5}\n'),
        ("f.jsonl", '{"premise": ["a"], "hypothesis": "b"}\n'),
    ],
)
def test_nulls_and_other_types_of_json_lines_are_told_by_line(file: str, row: str, tmp_path: Path) -> None:
    good = '{"premise": "a", "hypothesis": "b", "label": 0}\n'
    assert told("mnli", write(tmp_path, file, good + row))[0].startswith("f.jsonl:2: ")


@pytest.mark.parametrize("word", ["NA", "null", "None", "nan"])
def test_words_such_as_na_are_text_in_every_reader(word: str, tmp_path: Path) -> None:
    answers = ",".join(f"answer{i}" for i in range(4))
    table = f"id,context,question,{answers},label\n1,{word},{word},{','.join([word] * 4)},0\n"
    found = get_format(get_task("cosmosqa")).read([write(tmp_path, "f.csv", table)], get_task("cosmosqa"), "en")
    assert found["choices"].to_pylist() == [[word] * 4]
    pairs = write(tmp_path, "f.tsv", f"{word}\t{word}\tneutral\n")
    assert get_format(get_task("xnli")).read([pairs], get_task("xnli"), "en")["text_a"].to_pylist() == [word]
    tags = write(tmp_path, "t.tsv", f"{word}\tNOUN\n")
    assert get_format(get_task("udpos")).read([tags], get_task("udpos"), "en")["tokens"].to_pylist() == [[word]]


# Labels


def test_numeric_labels_of_a_table_count_the_tasks_labels(tmp_path: Path) -> None:
    """As those of jsonl do."""
    path = write(tmp_path, "f.tsv", "premise\thypothesis\tlabel\na\tb\t2\nc\td\t0\n")
    assert get_format(get_task("mnli")).read([path], get_task("mnli"), "en")["label"].to_pylist() == [2, 0]
    path = write(tmp_path, "g.tsv", "a\tb\t1\n")
    assert get_format(get_task("xnli")).read([path], get_task("xnli"), "en")["label"].to_pylist() == [1]
    assert told("xnli", write(tmp_path, "h.tsv", "a\tb\t3\n"))[0].startswith("h.tsv:1: label '3' is not one of")


@pytest.mark.parametrize("label", ['"-"', "-1", "-100"])
def test_pairs_without_a_majority_are_counted(label: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = '{"premise": "a", "hypothesis": "b", "label": "neutral"}\n'
    path = write(tmp_path, "f.jsonl", good * 2 + good.replace('"neutral"', label))
    assert get_format(get_task("snli")).read([path], get_task("snli"), "en").num_rows == 2
    assert "1 of 3 rows are left out: they have no label that a majority of annotators chose" in caplog.text


def test_a_row_without_gold_is_counted_from_1(tmp_path: Path) -> None:
    good = '{"premise": "a", "hypothesis": "b", "label": "neutral"}\n'
    path = write(tmp_path, "f.jsonl", good * 2 + good.replace('"neutral"', "null"))
    there = Catalog(DataDecl(tasks={"snli": TaskSource(train=str(path))}), tmp_path / "root")
    with pytest.raises(StiltsError, match="1 of 3 rows have no gold, first row 3"):
        there.ref(get_task("snli"), "train", "en")


def test_squad_2_given_as_squad_names_the_task_that_reads_it(tmp_path: Path) -> None:
    answered = {"id": "1", "question": "q", "answers": [{"text": "c", "answer_start": 0}]}
    asked = [answered, {"id": "2", "question": "q", "answers": [], "is_impossible": True}]
    path = write(tmp_path, "f.json", json.dumps({"data": [{"paragraphs": [{"context": "c", "qas": asked}]}]}))
    there = Catalog(DataDecl(tasks={"squad": TaskSource(train=str(path))}), tmp_path / "root")
    with pytest.raises(StiltsError, match=r"questions without an answer are SQuAD 2\.0's: squad2 reads them"):
        there.ref(get_task("squad"), "train", "en")


# Tagged sentences


@pytest.mark.parametrize("blank", ["", " ", "\t", "  \t "])
@pytest.mark.parametrize("rows", [("a", "b", "c"), ("a\tO", "b\tO", "c\tO")])
def test_a_line_of_blanks_ends_a_sentence(blank: str, rows: tuple[str, ...], tmp_path: Path) -> None:
    path = write(tmp_path, "f.tsv", f"{rows[0]}\n{rows[1]}\n{blank}\n{rows[2]}\n{blank}\n")
    table = get_format(get_task("panx")).read([path], get_task("panx"), "de")
    assert table["tokens"].to_pylist() == [["a", "b"], ["c"]]


def test_a_labels_file_with_lines_of_blanks_fits(tmp_path: Path) -> None:
    form, task = get_format(get_task("panx")), get_task("panx")
    table = form.read([write(tmp_path, "f.tsv", "a\nb\n \nc\n")], task, "de")
    assert form.merge is not None
    merged = form.merge(table, write(tmp_path, "g.tsv", "O\nO\n\t\nO\n"), task)
    assert merged["tags"].to_pylist() == [["O", "O"], ["O"]]


def test_conll_2003_with_blanks_between_columns_is_told_to_take_tabs(tmp_path: Path) -> None:
    text = "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n"
    assert told("panx", write(tmp_path, "f.tsv", text)) == [
        "f.tsv:1: 4 columns separated by blanks (as in CoNLL-2003); expected token TAB tag: put tabs there"
    ]


def test_a_file_without_blank_lines_is_told(tmp_path: Path) -> None:
    (message,) = told("panx", write(tmp_path, "f.tsv", "a\tO\n" * 3_000))
    assert message == "f.tsv:2001: more than 2,000 tokens since the last blank line, which ends a sentence"


def test_words_that_a_treebank_withholds_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sentence = "1\t{0}\t_\t_\t_\t_\t0\troot\t_\t_\n2\t{0}\t_\t_\t_\t_\t1\tobj\t_\t_\n\n"
    assert "2 of 2 rows are left out" in told("udparse", write(tmp_path, "a.conllu", sentence.format("_") * 2))[0]
    some = write(tmp_path, "b.conllu", sentence.format("_") + sentence.format("a") * 2)
    assert get_format(get_task("udparse")).read([some], get_task("udparse"), "fr").num_rows == 2
    assert "1 of 3 rows are left out: they have words that are withheld" in caplog.text
    (message,) = told("udpos", write(tmp_path, "c.tsv", "_\tNOUN\n_\tVERB\n\n"))
    assert message.startswith("c.tsv:1: 1 of 1 sentences have words that are withheld (_)")


@pytest.mark.parametrize("label", ["S-PER", "E-PER", "EVT", "L-PER"])
def test_labels_of_another_scheme_are_told(label: str) -> None:
    with pytest.raises(StiltsError, match=f"tags that are not BIO \\({label}\\); convert it to BIO"):
        check_scheme("mine", ["O", "B-PER", "I-PER", label])


def test_iob1_is_told() -> None:
    with pytest.raises(StiltsError, match=r"I- tags but no B- tags of LOC, as in IOB1"):
        check_scheme("mine", ["O", "B-PER", "I-PER", "I-LOC"])
    check_scheme("mine", ["O", "B-PER", "I-PER", "B-LOC"])
    check_scheme("mine", ["NOUN", "VERB"])


# csv


COSMOS = "id,context,question,answer0,answer1,answer2,answer3,label\n"


def test_a_quote_that_is_not_closed_is_told_where_its_row_begins(tmp_path: Path) -> None:
    row = "{0},c,q,a,b,c,d,0\n"
    text = COSMOS + row.format(1) + '2,"c,q,a,b,c,d,0\n' + row.format(3) * 3
    (message,) = told("cosmosqa", write(tmp_path, "f.csv", text))
    assert message.startswith("f.csv:3: no csv (unexpected end of data): a quote in this row is not closed")
    (message,) = told("cosmosqa", write(tmp_path, "g.csv", text + row.format(4) * 20_000))
    assert message.startswith("g.csv:3: no csv (field larger than field limit (131072)): a quote in this row is not")


def test_the_line_of_a_row_over_several_lines_is_its_first(tmp_path: Path) -> None:
    text = COSMOS + '1,"c\nd\ne",q,a,b,c,d,0\n2,c,q,a,b,c,d,9\n3,"c\nd",q,a,b,c,d,7\n'
    assert [message[:8] for message in told("cosmosqa", write(tmp_path, "f.csv", text))] == ["f.csv:5:", "f.csv:6:"]


def test_a_column_that_is_there_twice_is_told(tmp_path: Path) -> None:
    text = COSMOS.replace("label", "label,label") + "1,c,q,a,b,c,d,0,1\n"
    assert told("cosmosqa", write(tmp_path, "f.csv", text)) == ["f.csv:1: the header has label more than once"]


def test_an_empty_word_of_a_treebank_is_told_and_a_no_break_space_is_a_word(tmp_path: Path) -> None:
    (message,) = told("udparse", write(tmp_path, "f.conllu", "1\t\t_\t_\t_\t_\t0\troot\t_\t_\n\n"))
    assert message.startswith("f.conllu:1: word number 1 is empty")
    path = write(tmp_path, "f.tsv", "a\tNOUN\n\u00a0\tPUNCT\n")
    table = get_format(get_task("udpos")).read([path], get_task("udpos"), "fi")
    assert table["tokens"].to_pylist() == [["a", "\u00a0"]]


# Files that are none


@pytest.mark.parametrize(("start", "kind"), [(b"\x1f\x8b\x08", "gzip"), (b"PK\x03\x04", "zip"), (b"BZh9", "bzip2")])
def test_a_packed_file_is_told(start: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "f.tsv"
    path.write_bytes(start + b"\0\xff")
    (message,) = told("xnli", path)
    assert message == f"f.tsv is packed with {kind}; unpack it, and give the path of the file inside"


def test_a_device_is_no_data() -> None:
    (message,) = told("xnli", Path("/dev/zero"))
    assert "is a pipe or a device" in message


def test_questions_need_equally_many_choices(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"ctx": "c", "endings": list("abcd"[:count]), "label": 0} for count in (4, 3)]
    path = write(tmp_path, "f.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    assert told("hellaswag", path) == ["f.jsonl:2: 3 choices, but line 1 has 4: every question needs as many"]


def test_rows_of_a_family_are_counted_from_1(tmp_path: Path) -> None:
    """Where no reader has told the line."""
    path = write(tmp_path, "f.txt", "a b\tN N\n")
    task = replace(get_task("ccg"), labels=("X", "Y"))
    from stilts.data.examples import check_rows

    table = get_format(task).read([path], task, "en")
    with pytest.raises(Problems, match="f: row 1: tag 'N' is not one of X, Y"):
        check_rows(table, task, "f")
