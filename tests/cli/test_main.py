"""The program: exit codes, panels, and the frozen list of commands and options."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run


def test_defects_show_no_traceback_but_how_to_get_one(
    stilts: Run, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("stilts.session.Session.of", broken)
    monkeypatch.delenv("STILTS_DEBUG", raising=False)
    code, _, err = stilts("plan", experiment)
    assert code == 70
    assert "boom" in err
    assert "STILTS_DEBUG" in err


def test_no_network_is_no_defect(stilts: Run, experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("stilts.session.Session.of", unreachable)
    code, _, err = stilts("plan", experiment)
    assert code == 1
    assert "Network is unreachable" in err
    assert "a server cannot be reached" in err
    assert "defect" not in err


def test_the_command_line_is_frozen() -> None:
    import typer

    from stilts.cli import app

    command = typer.main.get_command(app)
    commands = command.commands  # type: ignore[attr-defined]
    options = {
        name: sorted(option for p in sub.params for option in p.opts)
        for name, sub in commands.items()
        if name not in ("data", "tasks")
    }
    assert options == {
        "clean": ["--cache", "--forget", "--json", "--store", "--yes", "-y"],
        "claims": ["--json", "--set", "--with", "experiment"],
        "collect": ["--baseline", "--difference", "--json", "--set", "--with", "experiment"],
        "verify": ["--json", "--set", "--with", "experiment"],
        "doctor": ["--experiment", "--json", "--store", "--study", "-e"],
        "fields": ["--json", "name"],
        "init": ["--out", "folder"],
        "logs": [
            "--attempt",
            "--experiment",
            "--json",
            "--rank",
            "--set",
            "--store",
            "--with",
            "-e",
            "stage",
        ],
        "schema": ["--search"],
        "explain": ["--experiment", "--json", "--set", "--with", "-e", "stage"],
        "plan": ["--beside", "--json", "--set", "--simulate", "--with", "experiment"],
        "report": ["--baseline", "--difference", "--out", "--set", "--with", "experiment"],
        "run": [
            "--debug",
            "--json",
            "--max-cost",
            "--max-gpu-hours",
            "--retry",
            "--set",
            "--tracker",
            "--with",
            "experiment",
        ],
        "score": ["--benchmark", "--json", "--labels", "--predictions"],
        "status": ["--json", "--set", "--watch", "--with", "experiment"],
        "submission": ["--intermediate", "--json", "--model", "--out", "--set", "--with", "experiment"],
        "tune": ["--json", "--max-cost", "--max-gpu-hours", "--set", "--with", "search"],
        "watch": ["--address", "--cloud", "--drain-on-rebalance", "--every", "--node"],
    }
    assert list(commands["data"].commands) == ["prepare", "verify"]
    assert list(commands["tasks"].commands) == ["list", "show", "check"]


def test_every_command_has_a_panel_and_an_example_that_is_a_command(stilts: Run) -> None:
    import typer

    from stilts.cli import COMMANDS, DATA_COMMANDS, TASK_COMMANDS, app

    code, out, _ = stilts("--help")
    assert code == 0
    panels = [line.split()[1] for line in out.splitlines() if line.startswith("╭")]
    assert panels == ["Options", "Start", "Run", "Results", "Store", "Machine"]
    command: Any = typer.main.get_command(app)
    examples = [example for _, _, example in (*COMMANDS, *TASK_COMMANDS)]
    for example in (*examples, *(example for _, example in DATA_COMMANDS)):
        words = example.partition(" > ")[0].split()
        inner, rest = command.commands[words[1]], words[2:]
        if words[1] in ("data", "tasks"):
            inner, rest = inner.commands[rest[0]], rest[1:]
        inner.make_context(words[1], rest)  # raises for an option or argument that is not there


def test_the_help_names_every_exit_code(stilts: Run) -> None:
    from stilts.cli.exit_codes import MEANINGS

    out = stilts("--help")[1]
    assert all(f"{code} {meaning[:20]}" in out for code, meaning in MEANINGS.items())
    assert stilts("frobnicate")[0] == 2
