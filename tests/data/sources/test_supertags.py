"""CCG supertags in both of their forms."""

from pathlib import Path

import pytest

from stilts.data.prepare import Catalog
from stilts.data.sources.supertags import read_supertags
from stilts.errors import Problems, StiltsError
from stilts.experiment.data import DataDecl, TaskSource
from stilts.tasks.base import get_task

CCG = get_task("ccg")


def write(folder: Path, text: str, name: str = "f") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_both_forms_are_the_same_sentences(tmp_path: Path) -> None:
    lines = write(tmp_path, "He runs .\tNP S[dcl]\\NP .\nYes\tS\n")
    tokens = write(tmp_path, "He\tNP\nruns\tS[dcl]\\NP\n.\t.\n\nYes\tS\n", "g")
    expected = [
        {"id": "0", "tokens": ["He", "runs", "."], "tags": ["NP", "S[dcl]\\NP", "."]},
        {"id": "1", "tokens": ["Yes"], "tags": ["S"]},
    ]
    assert read_supertags([lines], CCG, "en").to_pylist() == expected
    assert read_supertags([tokens], CCG, "en").to_pylist() == expected


def test_mistakes_are_told_by_line(tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        read_supertags([write(tmp_path, "a b\tX Y\na b\tX\na b\na b\tX Y\tZ\n")], CCG, "en")
    assert [message.split("f:")[1].split(",")[0] for message in caught.value.messages] == [
        "2: 2 words and 1 tag",
        "3: 1 column",
        "4: 3 columns",
    ]


def test_the_catalog_reads_them_and_says_why_there_is_no_download(tmp_path: Path) -> None:
    train = write(tmp_path, "He runs .\tNP S[dcl]\\NP .\n")
    there = Catalog(DataDecl(tasks={"ccg": TaskSource(train=str(train))}), tmp_path / "root")
    assert there.ref(CCG, "train", "en").rows == 1
    planned = Catalog(DataDecl(), tmp_path / "root").ref(CCG, "train", "en")
    assert planned.rows == 38_015
    with pytest.raises(StiltsError, match=r"LDC2005T13.*give files as data\.tasks\.ccg\.train"):
        Catalog(DataDecl(), tmp_path / "root").materialise(planned)
