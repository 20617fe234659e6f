"""init: what it writes for a folder can be planned, and says what could not be used."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import PAIRS, Run

TAGS = "Anna\tB-PER\nruft\tO\n\nBerlin\tB-LOC\n"
QUESTIONS = json.dumps(
    {
        "data": [
            {
                "title": "t",
                "paragraphs": [
                    {
                        "context": "Anna lives in Berlin.",
                        "qas": [{"id": "1", "question": "Where?", "answers": [{"text": "Berlin", "answer_start": 14}]}],
                    }
                ],
            }
        ]
    }
)


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "targets", "intermediates"),
    [
        ({f"{lang}/{s}.tsv": TAGS for lang in ("en", "de") for s in ("train", "dev", "test")}, {"panx": {}}, ["none"]),
        ({"train-en.tsv": PAIRS, "dev-en.tsv": PAIRS, "test-sw.tsv": PAIRS}, {"xnli": {}}, ["none"]),
        ({"train.json": QUESTIONS, "dev.json": QUESTIONS, "test.de.json": QUESTIONS}, {"xquad": {}}, ["none"]),
        ({"sw.txt": "habari ya asubuhi\n", "en.txt": "good morning\n"}, {"xnli": {}}, ["none", "mlm"]),
        (
            {"de.train.tsv": TAGS, "de.dev.tsv": TAGS, "de.test.tsv": TAGS},
            {"panx": {"setting": "in-language", "languages": ["de"]}},
            ["none"],
        ),
        ({"train-en.tsv": PAIRS, "dev-en.tsv": PAIRS}, {"xnli": {}}, ["none"]),
    ],
    ids=["tags", "pairs", "questions", "text", "in-language", "dev alone"],
)
def test_own_files_can_be_planned(
    stilts: Run, tmp_path: Path, files: dict[str, str], targets: dict[str, Any], intermediates: list[str]
) -> None:
    folder = write(tmp_path / "own", files)
    code, out, err = stilts("init", folder, "--out", "first.yaml")
    assert (code, "stilts plan first.yaml" in out) == (0, True), err
    text = (tmp_path / "first.yaml").read_text()
    written = yaml.safe_load(text)
    assert (written["name"], written["targets"], written["intermediates"]) == ("first", targets, intermediates)
    assert text.startswith("# An experiment")
    code, out, err = stilts("plan", "first.yaml", "--json")
    assert code == 0, err
    assert json.loads(out)["to_train"] > 0


def test_xtremes_folder_can_be_planned(stilts: Run, tmp_path: Path, xtreme_mini: Path) -> None:
    assert stilts("init", xtreme_mini, "--out", "first.yaml")[0] == 0
    written = yaml.safe_load((tmp_path / "first.yaml").read_text())
    assert {"xnli", "udpos", "xquad", "tatoeba"} <= set(written["targets"])
    assert written["data"] == {"xtreme": f"{xtreme_mini}/xtreme", "labels": f"{xtreme_mini}/labels"}
    code, out, err = stilts("plan", "first.yaml", "--json")
    assert code == 0, err
    assert json.loads(out)["cells"] == 3 * len(written["targets"]) * len(written["intermediates"])


def test_without_a_folder_the_hub_is_used(stilts: Run) -> None:
    assert stilts("init")[0] == 0
    assert stilts("plan", "experiment.yaml")[0] == 0
    code, _, err = stilts("init")
    assert (code, "experiment.yaml exists already" in err) == (1, True)


def test_what_cannot_be_used_is_named(stilts: Run, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "own",
        {"train-en.tsv": TAGS, "train-fry.tsv": TAGS, "a.csv": "x,y\n", "dev-en.tsv": "Anna\tEVT\n\nx\tO\n"},
    )
    code, _, err = stilts("init", folder, "--out", "e.yaml")
    assert (code, "note: not used: a.csv: commas separate its columns" in err) == (0, True), err
    text = (tmp_path / "e.yaml").read_text()
    assert "# Note: not used: a.csv: commas separate its columns" in text
    assert "# Note: not used: dev-en.tsv: its tags (EVT O) are those of no task" in text
    code, _, err = stilts("init", write(tmp_path / "other", {"a.csv": "x,y\n"}), "--out", "f.yaml")
    assert (code, "no data for a target was found: - not used: a.csv: commas" in err) == (1, True), err
    assert not (tmp_path / "f.yaml").exists()
    assert stilts("init", tmp_path / "absent")[0] == 1


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        ("Anna\tB-PER\nruft O\n\nBerlin\tB-LOC\n", "line 2 has 1 column(s), but most lines have 2"),
        ("Anna\tB-PER\nBerlin\tB-LOC\n", "no blank line separates its sentences"),
        ("1\tAnna\tPROPN\tB-PER\n", "it has 4 columns; files of tags have 2, and files of pairs have 3"),
    ],
    ids=["uneven", "no blank line", "four columns"],
)
def test_a_broken_training_set_is_not_replaced_silently(stilts: Run, tmp_path: Path, train: str, reason: str) -> None:
    folder = write(tmp_path / "own", {"en/train.tsv": train, "en/dev.tsv": TAGS, "en/test.tsv": TAGS})
    code, _, err = stilts("init", folder, "--out", "e.yaml")
    assert code == 0
    assert f"note: not used: en/train.tsv: {reason}" in err
    assert "note: panx: the folder has no training set, so that of panx comes from the hub" in err


def test_long_lines_are_read_whole(stilts: Run, tmp_path: Path) -> None:
    """Only the head of a file is read; a line that is cut there says nothing about the format."""
    text = f"{'a ' * 30_000}\tb\tneutral\n" * 9
    folder = write(tmp_path / "own", {f"{split}-en.tsv": text for split in ("train", "dev", "test")})
    code, _, err = stilts("init", folder, "--out", "e.yaml")
    assert (code, err) == (0, "")
