"""What the commands share: their common arguments, and how they print."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from stilts.experiment.secrets import redact

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="YAML file of the experiment.")]
Overrides = Annotated[list[str], typer.Option("--set", metavar="A.B=C", help="Set a field of the experiment.")]
Patches = Annotated[
    list[Path], typer.Option("--with", metavar="FILE", help="YAML laid over the experiment; an empty value removes.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def complain(message: str) -> None:
    Console(stderr=True).print(f"[bold red]error:[/] {escape(redact(message))}", soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def console() -> Console:
    """Standard output; in a pipe as wide as the tables need, so that nothing is cut."""
    return Console() if sys.stdout.isatty() else Console(width=200)
