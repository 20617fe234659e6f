"""Command line: every command calls one function of the API and prints what it returns."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from stilts.advice import advice, in_one_line
from stilts.cli import data, machine, results, run, start, store, tasks
from stilts.cli.base import complain, progress_console
from stilts.cli.exit_codes import DEFECT, FAILED, LIMIT_REACHED, MEANINGS
from stilts.cli.streams import forgiving_output, is_of_output
from stilts.errors import LimitReached, StiltsError
from stilts.experiment.secrets import redact
from stilts.os_errors import explain
from stilts.version import __version__
from stilts.waiting import NoAnswer, become_interactive, become_patient

START, RUN, RESULTS, STORE, MACHINE = "Start", "Run", "Results", "Store", "Machine"
"""Panels of the help, in the order in which a new user needs the commands."""

COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    (START, start.init, "stilts init my-data --out first.yaml"),
    (START, start.fields, "stilts fields recipe.warmup"),
    (START, start.schema, "stilts schema > experiment.schema.json"),
    (START, run.plan, "stilts plan first.yaml --set recipe.epochs=2"),
    (RUN, run.run, "stilts run first.yaml --max-gpu-hours 10"),
    (RUN, run.status, "stilts status first.yaml --watch"),
    (RUN, run.logs, "stilts logs xlmr-mnli-s1-0a1b2c3d4e5f -e first.yaml --rank 0"),
    (RUN, run.tune, "stilts tune ray_jobs/tune_udpos.yaml"),
    (RESULTS, results.collect, "stilts collect first.yaml --baseline mnli"),
    (RESULTS, results.claims, "stilts claims first.yaml"),
    (RESULTS, results.verify, "stilts verify first.yaml"),
    (RESULTS, results.report, "stilts report first.yaml --out first.html"),
    (RESULTS, results.score, "stilts score --predictions predictions --labels labels"),
    (RESULTS, results.submission, "stilts submission first.yaml --out submission --intermediate xquad=mnli"),
    (STORE, results.explain, "stilts explain xlmr-mnli-s1-0a1b2c3d4e5f -e first.yaml"),
    (STORE, store.clean, "stilts clean --store stilts-store --forget first"),
    (MACHINE, machine.doctor, "stilts doctor --store s3://bucket/stilts"),
    (MACHINE, machine.watch, "stilts watch --cloud aws"),
)
"""Panel, command and example of each command, in the order of the help."""

DATA_COMMANDS: tuple[tuple[Callable[..., None], str], ...] = (
    (data.prepare, "stilts data prepare first.yaml"),
    (data.verify, "stilts data verify first.yaml --json"),
)

TASK_COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("list", tasks.list_tasks, "stilts tasks list --families"),
    ("show", tasks.show, "stilts tasks show xnli"),
    ("check", tasks.check, "stilts tasks check my_tasks.yaml"),
)


def _example(text: str) -> str:
    return f"[bold]Example:[/] {escape(text)}"


def _exit_codes() -> str:
    lines = [f"[bold]{code}[/] {escape(meaning)}" for code, meaning in MEANINGS.items()]
    return "\n\n".join(["[bold]Exit codes[/]", *lines])


app = typer.Typer(
    help="Run grids of intermediate task x target task x seed on Ray and DeepSpeed, evaluated on XTREME.",
    epilog=_exit_codes(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for panel, command, example in COMMANDS:
    app.command(rich_help_panel=panel, epilog=_example(example))(command)
data_app = typer.Typer(help="Prepare and verify the data of an experiment.", no_args_is_help=True)
for command, example in DATA_COMMANDS:
    data_app.command(epilog=_example(example))(command)
app.add_typer(data_app, name="data", rich_help_panel=START)
tasks_app = typer.Typer(help="List and describe tasks, and check tasks of your own.", no_args_is_help=True)
for name, command, example in TASK_COMMANDS:
    tasks_app.command(name, epilog=_example(example))(command)
app.add_typer(tasks_app, name="tasks", rich_help_panel=START)


def main() -> None:
    """Entry point: run a command, and turn errors into messages and exit codes (`cli/exit_codes.py`)."""
    with forgiving_output():
        _main()


def _main() -> None:
    become_interactive()
    try:
        app()
    except LimitReached as limit:
        progress_console().print(f"[bold yellow]stopped:[/] {escape(str(limit))}", soft_wrap=True, highlight=False)
        sys.exit(LIMIT_REACHED)
    except NoAnswer as error:
        complain(str(error))
        sys.stdout.flush()
        os._exit(FAILED)  # a thread that still waits for the server would keep the process
    except StiltsError as error:
        complain(str(error))
        sys.exit(FAILED)
    except Exception as error:
        if is_of_output(error):
            raise
        if os.environ.get("STILTS_DEBUG"):
            sys.stderr.write(redact(traceback.format_exc()))
            sys.exit(FAILED)
        if advice(error) is not None:
            complain(in_one_line(error))
            sys.exit(FAILED)
        known = explain(error, "use", Path(getattr(error, "filename", None) or "a file"))
        if known is not None:
            complain(str(known))
            sys.exit(FAILED)
        complain(
            f"a defect of stilts, or something it did not foresee: {in_one_line(error)}\n"
            "Nothing that was stored is lost. STILTS_DEBUG=1 shows the traceback; please report it."
        )
        sys.exit(DEFECT)
    finally:
        become_patient()


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
