"""What the commands share: arguments and options, and how results are printed."""

import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from stilts.cli.exit_codes import INTERRUPTED
from stilts.experiment.secrets import redact
from stilts.os_errors import DiskFull, NotWritable
from stilts.show.display import SafeConsole
from stilts.visible import bounded, visible, visible_json

if TYPE_CHECKING:
    from stilts.experiment.experiment import Experiment

Written = TypeVar("Written")

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="YAML file of the experiment.")]
Overrides = Annotated[
    list[str],
    typer.Option("--set", metavar="A.B=C", help="Set a field, such as recipe.epochs=2. Repeat it for several fields."),
]
Patches = Annotated[
    list[Path],
    typer.Option(
        "--with",
        metavar="FILE",
        help="YAML file whose fields override those of the experiment; an empty value removes a field. Repeat it for "
        "several files; later ones have precedence.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class Printable(Protocol):
    """A result of the API."""

    def show(self, console: Console) -> None: ...

    def to_json(self) -> Any: ...


def load(experiment: Path, overrides: Sequence[str], patches: Sequence[Path]) -> "Experiment":
    """The experiment of a command line."""
    import stilts

    return stilts.load(experiment, overrides=overrides, patches=patches)


def emit(result: Printable, as_json: bool) -> None:
    """Print a result as tables or as JSON."""
    if as_json:
        print_json(result.to_json())
    else:
        result.show(console())


def write(what: str, files: Callable[[], Written]) -> Written | None:
    """Write result files. Where that is not possible, warn and return None: the results can still be printed.

    Args:
        what: the files in a message, such as `the tables are`.
    """
    try:
        return files()
    except (DiskFull, NotWritable) as error:
        warning = f"{what} not written: {error}"
        progress_console().print(f"[bold yellow]warning:[/] {escape(redact(warning))}", soft_wrap=True, highlight=False)
        return None


def complain(message: str) -> None:
    """Print an error message of bounded length without its secrets."""
    text = visible(bounded(redact(message)))
    progress_console().print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    """Print JSON on standard output."""
    typer.echo(visible_json(json.dumps(value, indent=1, ensure_ascii=False)))


def console() -> Console:
    """Standard output. In a pipe it is wide enough for every table, so that nothing is cut."""
    return SafeConsole() if sys.stdout.isatty() else SafeConsole(width=200)


def progress_console() -> Console:
    """Standard error, where progress and messages go, so that standard output holds the result alone."""
    return SafeConsole(stderr=True)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM (`ray job stop`, a batch system) end a run with a message and exit code INTERRUPTED.

    A second signal, while the first one is being obeyed, ends the process at once.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        yield
    except KeyboardInterrupt as interrupt:  # typer would end in a bare "Aborted"
        complain("; ".join(filter(None, ("interrupted", str(interrupt), "the same command continues from here"))))
        raise typer.Exit(INTERRUPTED) from None


def _interrupt(number: int, frame: Any) -> None:
    for either in (signal.SIGINT, signal.SIGTERM):
        signal.signal(either, signal.SIG_DFL)
    raise KeyboardInterrupt
