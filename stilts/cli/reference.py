"""Writes the reference pages of the documentation: `python -m stilts.cli.reference docs/reference`.

`fields.md` comes from the models of `stilts/experiment`, `cli.md` from the commands themselves. A test compares both
with the files in the repository.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from stilts.cli import COMMANDS, DATA_COMMANDS, TASK_COMMANDS, app
from stilts.cli.exit_codes import MEANINGS
from stilts.experiment.reference import models

_NOTE = "<!-- Written by `python -m stilts.cli.reference docs/reference`; edit the docstrings it is made of. -->"


def pages() -> dict[str, str]:
    """Return the generated reference pages as Markdown, by file name."""
    return {"fields.md": "\n".join(_fields()) + "\n", "cli.md": "\n".join(_commands()) + "\n"}


def _fields() -> Iterator[str]:
    yield from ("# Fields of an experiment", "", _NOTE, "")
    yield "`NAME` stands for a name that you choose, `N` for a position in a list. `stilts fields` prints the same."
    for model in models():
        title = model.paths[0] or f"Top of the file: {model.fields[0].path} ..."
        yield from ("", f"## {title}", "", model.description)
        if len(model.paths) > 1:
            yield from ("", f"The same fields stand in {', '.join(f'`{path}`' for path in model.paths[1:])}.")
        yield from ("", "| field | type | default | meaning |", "|---|---|---|---|")
        for field in model.fields:
            cells = (f"`{field.path.rpartition('.')[2]}`", field.type, field.default or "required", field.description)
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _commands() -> Iterator[str]:
    root: Any = typer.main.get_command(app)
    yield from ("# Commands", "", _NOTE)
    panel = ""
    for group, function, example in COMMANDS:
        if group != panel:
            panel = group
            yield from ("", f"## {panel}")
        yield from _command(root.commands[function.__name__], function.__name__, example)
    yield from ("", "## Data")
    for function, example in DATA_COMMANDS:
        yield from _command(root.commands["data"].commands[function.__name__], f"data {function.__name__}", example)
    yield from ("", "## Tasks")
    for name, _, example in TASK_COMMANDS:
        yield from _command(root.commands["tasks"].commands[name], f"tasks {name}", example)
    yield from ("", "## Exit codes", "", "| code | meaning |", "|---|---|")
    yield from (f"| {code} | {meaning} |" for code, meaning in MEANINGS.items())


def _command(command: Any, name: str, example: str) -> Iterator[str]:
    yield from ("", f"### stilts {name}", "", str(command.help), "", "```bash", example, "```", "")
    yield from ("| argument or option | meaning |", "|---|---|")
    for parameter in command.params:
        if parameter.name == "help":
            continue
        names = ", ".join(f"`{option}`" for option in parameter.opts if option.startswith("-"))
        names = names or f"`{parameter.metavar or parameter.name.upper()}`"
        yield f"| {names} | {parameter.help or ''} |"


def main() -> None:
    """Write the pages to the folder that is given."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
