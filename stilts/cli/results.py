"""collect, report, explain, score, submission: what came out."""

import json
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from stilts.cli.base import ExperimentFile, Json, Overrides, Patches, console, print_json

Baseline = Annotated[str, typer.Option(metavar="REGIME", help="Regime that the others are compared to.")]
Difference = Annotated[
    float, typer.Option(min=0, metavar="POINTS", help="Say how many seeds a difference of so many points would need.")
]


def collect(
    experiment: ExperimentFile,
    baseline: Baseline = "none",
    difference: Difference = 1.0,
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Write results.parquet, what follows from it, and the tables, from what the store holds."""
    from stilts.results.options import Options
    from stilts.session import Session
    from stilts.show.results import print_results

    show_results(Session.open(experiment, overrides, patches), Options(baseline, difference), as_json, print_results)


def show_results(session: Any, options: Any, as_json: bool, render: Callable[[Console, Any], None]) -> None:
    """Write the tables of an experiment, and print them as `render` does; as JSON, each by its name, row by row."""
    from stilts.show.results import write_results

    tables = _analyse(session, options)
    files = write_results(session.results, tables)
    if as_json:
        print_json({name: table.to_pylist() for name, table in tables.items()})
        return
    screen = console()
    render(screen, tables)
    screen.print(f"[dim]{len(files)} files in {session.results}[/]")


def _analyse(session: Any, options: Any) -> Any:
    from stilts.results.analyse import analyse
    from stilts.results.items.kept import Kept

    shown = partial(track, description="test items", console=Console(stderr=True), transient=True)
    return analyse(session.expansion, session.store, options, shown, Kept(session.results))


def report(
    experiment: ExperimentFile,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: report.html among the results.")] = None,
    baseline: Baseline = "none",
    difference: Difference = 1.0,
    patches: Patches = [],
    overrides: Overrides = [],
) -> None:
    """Write one HTML file that answers what helped, with everything that it rests on, and the figures of a paper."""
    from stilts.results.options import Options
    from stilts.session import Session
    from stilts.show.figures.write import FOLDER, write_figures
    from stilts.show.html.facts import gather_facts
    from stilts.show.html.page import write_report
    from stilts.show.plan import gigabytes

    session, options = Session.open(experiment, overrides, patches), Options(baseline, difference)
    tables = _analyse(session, options)
    facts = gather_facts(session, shlex.join(["stilts", *sys.argv[1:]]))
    path = out or session.results / "report.html"
    write_report(path, session.results, tables, facts, options)
    typer.echo(f"{path} ({gigabytes(path.stat().st_size)})")
    figures = write_figures(session.results, tables)
    typer.echo(f"{len(figures)} files in {session.results / FOLDER}" if figures else "no figures: there are no numbers")


def explain(
    stage: Annotated[str, typer.Argument(help="Name of a stage, or the beginning of its key.")],
    experiment: Annotated[Path, typer.Option("--experiment", "-e", help="YAML file of the experiment.")],
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Say why a stage is not reused: the fields in which it differs from the nearest stage in the store."""
    from stilts.ledger.explain import explain_stage
    from stilts.session import Session

    session = Session.open(experiment, overrides, patches)
    found = explain_stage(session.expansion, session.plan().inventory, session.store, stage)
    if as_json:
        print_json(found)
        return
    screen = console()
    screen.print(f"[bold]{found['stage']}[/]: {found['verdict']}")
    if found["differences"]:
        table = Table("field", "wanted", f"in {found['nearest']}", box=None, header_style="bold")
        for row in found["differences"]:
            table.add_row(row["field"], escape(json.dumps(row["wanted"])), escape(json.dumps(row["stored"])))
        screen.print(table)


def score(
    predictions: Annotated[Path, typer.Option(help="Folder with TASK/test-LANGUAGE files.")],
    labels: Annotated[Path, typer.Option(help="Folder with the gold, in the same layout.")],
    benchmark: Annotated[str, typer.Option(help="xtreme or xtreme-r")] = "xtreme",
    as_json: Json = False,
) -> None:
    """Score a prediction folder in XTREME's layout as its evaluate.py does.

    Averages over tasks are there only where all of their tasks are scored in all languages. The exit status is 1 where
    a file could not be scored; the others are scored all the same.

    Example: stilts score --predictions predictions --labels labels
    """
    from stilts.errors import Problems
    from stilts.evaluate.score import score_folder
    from stilts.show.score import show_scores

    scores = score_folder(predictions, labels, benchmark)
    if as_json:
        print_json(scores)
    else:
        show_scores(scores, console())
    if scores["problems"]:
        raise Problems(scores["problems"])


def submission(
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    intermediate: Annotated[
        list[str], typer.Option(metavar="[TARGET=]REGIME", help="Take this regime, not the best on dev.")
    ] = [],
    model: Annotated[str | None, typer.Option(help="Base model, where the experiment has several.")] = None,
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Write XTREME's prediction folder and its zip, of the best intermediate per target on dev."""
    from stilts.results.gather import gather_submission
    from stilts.session import Session
    from stilts.show.submission import show_submission

    session = Session.open(experiment, overrides, patches)
    manifest = gather_submission(session.expansion, session.store, out, model, intermediate)
    if as_json:
        print_json(manifest)
    else:
        show_submission(manifest, out, console())
