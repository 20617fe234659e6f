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
    assert stilts("init", folder, "--out", "e.yaml")[0] == 0
    text = (tmp_path / "e.yaml").read_text()
    assert "# Not used: a.csv: commas separate its columns" in text
    assert "# Not used: dev-en.tsv: its tags (EVT O) are those of no task" in text
    code, _, err = stilts("init", write(tmp_path / "other", {"a.csv": "x,y\n"}), "--out", "f.yaml")
    assert (code, "no data for a target was found: - a.csv: commas" in err) == (1, True), err
    assert not (tmp_path / "f.yaml").exists()
    assert stilts("init", tmp_path / "absent")[0] == 1
