"""Raw text, the table of formats, and several files read as one."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stilts.data.sources.files import FORMATS, get_format, read_sentences
from stilts.errors import StiltsError
from stilts.tasks.base import get_task


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
