"""Raw text, the table of formats, and several files read as one."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stilts.data.prepare import Catalog
from stilts.data.sources.files import FORMATS, get_format, read_sentences
from stilts.data.tables import read_table
from stilts.errors import StiltsError
from stilts.experiment.data import DataDecl
from stilts.tasks.base import all_tasks, get_task


def write(folder: Path, text: str, name: str = "f") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_sentences_skip_blank_lines_and_keep_line_numbers(tmp_path: Path) -> None:
    table = read_sentences([write(tmp_path, "one \n\n  \ntwo\n")], get_task("mlm"), "en")
    assert table.to_pylist() == [{"id": "0", "text": "one"}, {"id": "3", "text": "two"}]


def test_several_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    paths = [write(tmp_path, "one\ntwo\n", "a"), write(tmp_path, "three\n", "b")]
    table = read_sentences(paths, get_task("mlm"), "en")
    assert table.to_pylist() == [
        {"id": "1-0", "text": "one"},
        {"id": "1-1", "text": "two"},
        {"id": "2-0", "text": "three"},
    ]


def squad(*questions: dict[str, Any]) -> str:
    return json.dumps({"data": [{"paragraphs": [{"context": "Der Bär schläft", "qas": list(questions)}]}]})


def question(name: str, answer: str, start: int) -> dict[str, Any]:
    return {"id": name, "question": "Wer?", "answers": [{"text": answer, "answer_start": start}]}


def test_the_ids_of_questions_stay_as_they_are(tmp_path: Path) -> None:
    paths = [write(tmp_path, squad(question(name, "Bär", 4)), name) for name in ("a", "b")]
    assert get_format(get_task("squad")).read(paths, get_task("squad"), "de")["id"].to_pylist() == ["a", "b"]


def test_translated_questions_that_lost_their_answer_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lost = {"id": "3", "question": "Wer?", "answers": []}
    path = write(tmp_path, squad(question("1", "Bär", 4), question("2", "Bär", 5), question("4", "Der", 0), lost))
    read = get_format(get_task("squad")).reader("translated")
    with caplog.at_level(logging.WARNING):
        assert read([path], get_task("squad"), "de")["id"].to_pylist() == ["1", "4"]
    assert "2 of 4 rows are left out" in caplog.text
    with pytest.raises(StiltsError, match="2 of 2 rows are left out"):
        read([write(tmp_path, squad(question("2", "Bär", 5), lost))], get_task("squad"), "de")


def test_only_translations_are_read_laxly() -> None:
    for form in FORMATS.values():
        assert form.reader("train") is form.reader("dev") is form.read


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(StiltsError, match=r"no file format 'squadd' in data/sources/files\.py; did you mean 'squad'"):
        get_format(replace(get_task("squad"), files="squadd"))


def test_the_readers_of_parallel_tasks_are_known_to_keep_the_ids_of_translations() -> None:
    """`squad` and `xquad_r` take ids from the file, the others number the rows of a language (see their tests)."""
    tasks = [task for task in all_tasks().values() if task.parallel]
    assert {task.files for task in tasks} == {"nli", "pairs", "copa", "squad", "xquad_r"}


@pytest.mark.parametrize("name", sorted(name for name, task in all_tasks().items() if task.parallel))
def test_gold_labels_change_no_id_of_a_parallel_task(name: str, xtreme_mini: Path, tmp_path: Path) -> None:
    task, found = get_task(name), []
    for labels in (None, str(xtreme_mini / "labels")):
        catalog = Catalog(DataDecl(xtreme=str(xtreme_mini / "xtreme"), labels=labels), tmp_path / str(labels is None))
        language = next(code for code in task.languages if code != "en" and catalog.has(task, "test", code))
        found.append(read_table(catalog.root / catalog.ref(task, "test", language).path)["id"].to_pylist())
    assert found[0] == found[1]
    assert len(set(found[0])) == len(found[0])
