"""Command line: each command opens the experiment, calls one floor below, and prints."""

import os
import sys
import traceback
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from stilts import __version__
from stilts.cli import data, machine, results, run, search, store
from stilts.cli.base import complain
from stilts.errors import LimitReached, StiltsError
from stilts.experiment.secrets import redact

app = typer.Typer(
    help="Run grids of intermediate x target x seed fine-tuning on Ray and DeepSpeed, scored on XTREME.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (
    *(run.plan, run.run, run.status, search.tune),
    *(results.collect, results.report, results.explain, results.score, results.submission),
    *(store.clean, machine.doctor, machine.watch),
):
    app.command()(command)
data_app = typer.Typer(help="Prepare the data of an experiment.", no_args_is_help=True)
data_app.command()(data.prepare)
data_app.command()(data.verify)
app.add_typer(data_app, name="data")

LIMIT_REACHED = 3
"""Exit code of a run that stopped at `--max-gpu-hours` or `--max-cost`."""


def main() -> None:
    """Entry point: runs a command and turns errors into messages and exit codes.

    1: bad input, or stages that failed; 3: a limit is reached; 70: a defect.
    """
    try:
        app()
    except LimitReached as limit:
        Console(stderr=True).print(f"[bold yellow]stopped:[/] {escape(str(limit))}", soft_wrap=True, highlight=False)
        sys.exit(LIMIT_REACHED)
    except StiltsError as error:
        complain(str(error))
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if os.environ.get("STILTS_DEBUG"):
            sys.stderr.write(redact(traceback.format_exc()))
            sys.exit(1)
        complain(
            f"a defect of stilts, or something it did not foresee: {type(error).__name__}: {error}\n"
            "Nothing that was stored is lost. STILTS_DEBUG=1 shows the traceback; please report it."
        )
        sys.exit(70)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
