"""What a submission lacks is shown."""

import io

from rich.console import Console

from stilts.show.submission import show_submission
from stilts.tasks.benchmarks import XTREME
from tests.results.test_submission import add_xnli, submit


def shown(manifest, out):
    console = Console(file=io.StringIO(), width=160)
    show_submission(manifest, out, console)
    return console.file.getvalue()


def test_what_is_incomplete_is_said_loudly(grid, tmp_path):
    add_xnli(grid, "mnli", 1, 70.0)
    manifest = submit(grid, tmp_path / "out")
    assert manifest["complete"] is False
    text = shown(manifest, tmp_path / "out")
    assert "INCOMPLETE: xtreme averages over all of them; 8 targets and 13 languages of the others are missing" in text
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert "2 of 15" in lines["xnli"]
    assert lines["xnli"].rstrip().endswith("ar bg el es fr hi ru sw th tr ur vi zh")
    assert "0 of 40" in lines["panx"]
    assert "not a zero-shot target" in lines["panx"]
    assert "2 files, checked" in text


def test_nothing_is_said_of_what_is_complete(tmp_path):
    languages = XTREME.languages
    choice = {"intermediate": "mnli", "seed": 1, "dev": 70.0, "missing_languages": []}
    whole = {"benchmark": "xtreme", "complete": True, "missing": {}, "files": {}}
    text = shown({**whole, "targets": dict.fromkeys(languages, choice)}, tmp_path / "out")
    assert "INCOMPLETE" not in text
    assert "40 of 40" in text
