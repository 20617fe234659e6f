"""Command line: each command opens the experiment, calls one floor below, and prints."""

import json
import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from stilts import __version__
from stilts.errors import LimitReached, Problems, StiltsError
from stilts.spec.secrets import redact

app = typer.Typer(
    help="Run grids of intermediate x target x seed fine-tuning on Ray and DeepSpeed, scored on XTREME.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
data_app = typer.Typer(help="Prepare the data of an experiment.", no_args_is_help=True)
app.add_typer(data_app, name="data")

INTERRUPTED = 130
"""Exit code of a run that was stopped, as shells have it for SIGINT."""

LIMIT_REACHED = 3
"""Exit code of a run that stopped at `--max-gpu-hours` or `--max-cost`."""

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="YAML file of the experiment.")]
Overrides = Annotated[list[str], typer.Option("--set", metavar="A.B=C", help="Set a field of the experiment.")]
Patches = Annotated[
    list[Path], typer.Option("--with", metavar="FILE", help="YAML laid over the experiment; an empty value removes.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


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
        _complain(str(error))
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if os.environ.get("STILTS_DEBUG"):
            sys.stderr.write(redact(traceback.format_exc()))
            sys.exit(1)
        _complain(
            f"a defect of stilts, or something it did not foresee: {type(error).__name__}: {error}\n"
            "Nothing that was stored is lost. STILTS_DEBUG=1 shows the traceback; please report it."
        )
        sys.exit(70)


def _complain(message: str) -> None:
    Console(stderr=True).print(f"[bold red]error:[/] {escape(redact(message))}", soft_wrap=True, highlight=False)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _console() -> Console:
    """Standard output; in a pipe as wide as the tables need, so that nothing is cut."""
    return Console() if sys.stdout.isatty() else Console(width=200)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def plan(
    experiment: ExperimentFile,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulate the run on the machines that cluster: describes.")
    ] = False,
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Show what an experiment holds: cells, stages, what is done, what a run costs. Starts nothing."""
    from stilts.plan.price import priced
    from stilts.plan.show import show_plan, show_simulation
    from stilts.plan.simulate import simulation
    from stilts.plan.summary import stage_rows, summarize
    from stilts.session import Session

    session = Session.open(experiment, overrides, patches)
    session.complete_declarations()
    found = session.plan()
    price, simulated = priced(found), simulation(found) if simulate else None
    if as_json:
        costs = {name: value for name, value in (("price", price), ("simulation", simulated)) if value is not None}
        absent = list(session.absent())
        _print_json({**summarize(found), **costs, "absent_data": absent, "by_stage": stage_rows(found)})
        return
    show_plan(found, _console())
    if simulated is not None:
        show_simulation(simulated, _console())
    for task, ways in session.absent().items():
        _console().print(f"[yellow]{task}: sizes as declared; before a run, give {ways}[/]")


@app.command()
def run(
    experiment: ExperimentFile,
    max_gpu_hours: Annotated[
        float | None,
        typer.Option(min=0, help="Stop when all launches of the experiment together have held GPUs for so long."),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="Stop when they have cost so much, by the prices in cluster:.")
    ] = None,
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Train and evaluate what is missing, then write and print the table. The same command goes on after a stop."""
    from stilts.execute.launch import launch
    from stilts.execute.meter import Limits
    from stilts.session import Session

    # `ray job stop`, or a batch system that takes the machine back: as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    session = Session.open(experiment, overrides, patches)
    try:
        unfinished = launch(session, Console(stderr=True), Limits(max_gpu_hours, max_cost))
    except KeyboardInterrupt:  # typer would end in a bare "Aborted"
        _complain("interrupted; the same command goes on from here")
        raise typer.Exit(INTERRUPTED) from None
    _collect(session, as_json)
    if unfinished is not None:
        raise unfinished


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


@app.command()
def collect(
    experiment: ExperimentFile, patches: Patches = [], overrides: Overrides = [], as_json: Json = False
) -> None:
    """Write results.parquet and the tables from what the store holds."""
    from stilts.session import Session

    _collect(Session.open(experiment, overrides, patches), as_json)


def _collect(session: Any, as_json: bool) -> None:
    from stilts.collect.gather import gather
    from stilts.collect.render import render_terminal, write_results

    table = gather(session.expansion, session.store)
    files = write_results(session.results, table)
    if as_json:
        _print_json(table.to_pylist())
        return
    console = _console()
    render_terminal(console, table)
    console.print(f"[dim]{len(files)} files in {session.results}[/]")


@app.command()
def status(experiment: ExperimentFile, patches: Patches = [], overrides: Overrides = [], as_json: Json = False) -> None:
    """Show the state of every stage: done, running (where), failed (why), waiting."""
    from stilts.collect.status import show_spending, show_status, stage_states
    from stilts.session import Session

    session = Session.open(experiment, overrides, patches)
    states = stage_states(session.plan(), session.store)
    if as_json:
        _print_json(states)
    else:
        show_status(states, _console())
        show_spending(session.experiment, session.store, _console())


@app.command()
def explain(
    stage: Annotated[str, typer.Argument(help="Name of a stage, or the beginning of its key.")],
    experiment: Annotated[Path, typer.Option("--experiment", "-e", help="YAML file of the experiment.")],
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Say why a stage is not reused: the fields in which it differs from the nearest stage in the store."""
    from stilts.collect.explain import explain_stage
    from stilts.session import Session

    session = Session.open(experiment, overrides, patches)
    found = explain_stage(session.expansion, session.plan().inventory, session.store, stage)
    if as_json:
        _print_json(found)
        return
    console = _console()
    console.print(f"[bold]{found['stage']}[/]: {found['verdict']}")
    if found["differences"]:
        table = Table("field", "wanted", f"in {found['nearest']}", box=None, header_style="bold")
        for row in found["differences"]:
            table.add_row(row["field"], escape(json.dumps(row["wanted"])), escape(json.dumps(row["stored"])))
        console.print(table)


@app.command()
def score(
    predictions: Annotated[Path, typer.Option(help="Folder with TASK/test-LANGUAGE files.")],
    labels: Annotated[Path, typer.Option(help="Folder with the gold, in the same layout.")],
    benchmark: Annotated[str, typer.Option(help="xtreme or xtreme-r")] = "xtreme",
    as_json: Json = False,
) -> None:
    """Score a prediction folder in XTREME's layout as its evaluate.py does."""
    from stilts.evaluate.score import score_folder
    from stilts.evaluate.show import show_scores

    scores = score_folder(predictions, labels, benchmark)
    if as_json:
        _print_json(scores)
    else:
        show_scores(scores, _console())


@app.command()
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
    """Write XTREME's prediction folder, of the best intermediate per target on dev."""
    from stilts.collect.gather import gather_submission
    from stilts.session import Session

    session = Session.open(experiment, overrides, patches)
    manifest = gather_submission(session.expansion, session.store, out, model, intermediate)
    if as_json:
        _print_json(manifest)
        return
    table = Table("target", "intermediate", "seed", "dev", box=None, header_style="bold")
    for name, choice in manifest["targets"].items():
        dev = "-" if choice.get("dev") is None else f"{choice['dev']:.1f}"
        table.add_row(name, str(choice["intermediate"]), str(choice["seed"]), dev)
    _console().print(table)
    for name, why in manifest.get("missing", {}).items():
        _console().print(f"[yellow]left out {name}: {escape(why)}[/]")


@app.command()
def doctor(
    store: Annotated[str, typer.Option(help="Store that experiments will write to.")] = "stilts-store",
    as_json: Json = False,
) -> None:
    """Check versions, GPUs, DeepSpeed, disk, the store and Ray."""
    from stilts.execute.doctor import diagnose, to_json

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    findings = diagnose(store, os.environ.get("RAY_ADDRESS"))
    if as_json:
        _print_json(to_json(findings))
    else:
        colour = {"ok": "green", "warning": "yellow", "failed": "red"}
        table = Table("check", "state", "found", box=None, header_style="bold")
        for finding in findings:
            table.add_row(finding.check, f"[{colour[finding.state]}]{finding.state}[/]", escape(finding.found))
        _console().print(table)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


@app.command()
def clean(
    store: Annotated[str, typer.Option(help="Store to clean.")] = "stilts-store",
    forget: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="Let an experiment go, NAME or NAME/DIGEST, with what it alone needs."),
    ] = [],
    cache: Annotated[bool, typer.Option("--cache", help="This machine's copies of object stores instead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without a question.")] = False,
    as_json: Json = False,
) -> None:
    """List what no experiment of a store needs; remove it when that is confirmed. Never what a run uses."""
    from stilts.collect.cleaning import show_findings, to_json
    from stilts.plan.show import gigabytes
    from stilts.store.clean import clean as remove
    from stilts.store.examine import examine
    from stilts.store.open import open_store

    if cache:
        _clean_cache(yes, as_json)
        return
    opened = open_store(store)
    found = examine(opened, forget)
    if not as_json:
        show_findings(found, _console())
    something = bool(found.items or found.forgotten)
    removed = None
    if something and (yes or (not as_json and _confirmed(f"remove this ({gigabytes(found.bytes)})?"))):
        removed = remove(opened, found.items, forget, lambda who: None)
    if as_json:
        _print_json(to_json(found, removed))
    elif removed is not None:
        typer.echo(
            f"{len(removed)} of {len(found.items)} removed, {gigabytes(sum(item.bytes for item in removed))} freed"
        )
    elif something:
        typer.echo("nothing was removed; -y removes it without a question")


def _clean_cache(yes: bool, as_json: bool) -> None:
    from stilts.plan.show import gigabytes
    from stilts.store.cache import Cache

    cache = Cache()
    idle = cache.idle()
    if not as_json:
        typer.echo(f"{cache.root}: {len(idle)} copies and scratch folders, {gigabytes(sum(idle.values()))}")
    removed = None
    if idle and (yes or (not as_json and _confirmed("remove those that nobody uses?"))):
        removed = [folder for folder in idle if cache.evict(folder)]
    if as_json:
        items = {str(folder): size for folder, size in idle.items()}
        _print_json({"cache": str(cache.root), "items": items, "removed": removed and [str(f) for f in removed]})
    elif removed is not None:
        size = gigabytes(sum(idle[folder] for folder in removed))
        typer.echo(f"{len(removed)} of {len(idle)} removed, {size} freed; the rest is in use")
    elif idle:
        typer.echo("nothing was removed; -y removes it without a question")


def _confirmed(question: str) -> bool:
    """Whether a person says yes; nobody is asked in a pipe."""
    return sys.stdin.isatty() and sys.stdout.isatty() and typer.confirm(question)


@app.command()
def watch(
    cloud: Annotated[str, typer.Option(help="auto, aws, gcp, or package.module:function that returns a notice.")] = (
        "auto"
    ),
    address: Annotated[str, typer.Option(help="Ray cluster; auto: the one that this machine belongs to.")] = "auto",
    node: Annotated[str, typer.Option(help="Ray node to drain, by its id; here: those of this machine.")] = "here",
    every: Annotated[float, typer.Option(help="Seconds between questions to the cloud.")] = 5.0,
    drain_on_rebalance: Annotated[
        bool, typer.Option("--drain-on-rebalance", help="Drain on AWS's recommendation too, which may come earlier.")
    ] = False,
) -> None:
    """Watch the cloud for the end of this spot machine, and have trials leave it in time. Runs on every node."""
    from stilts.execute.watch import watch

    watch(cloud, address, node, every, drain_on_rebalance)


@data_app.command("prepare")
def prepare(experiment: ExperimentFile, patches: Patches = [], overrides: Overrides = []) -> None:
    """Read every source that an experiment needs into the store, so that training needs no network."""
    from stilts.session import Session

    session = Session.open(experiment, overrides, patches)
    session.declare()
    session.prepare(lambda refs: track(refs, description="preparing", console=Console(stderr=True)))
    typer.echo(f"{len(session.data)} data files are ready in {session.store.uri}")


@data_app.command("verify")
def verify(experiment: ExperimentFile, patches: Patches = [], overrides: Overrides = [], as_json: Json = False) -> None:
    """Read every data file of an experiment in the store and check its rows and its digest."""
    from stilts.session import Session
    from stilts.store.data import check_examples

    session = Session.open(experiment, overrides, patches)
    rows = []
    for ref in track(session.data, description="verifying", console=Console(stderr=True)):
        problem = check_examples(session.store, ref)
        rows.append({"path": ref.path, "rows": ref.rows, "identity": ref.identity, "problem": problem})
    wrong = [row["problem"] for row in rows if row["problem"]]
    if as_json:
        _print_json(rows)
    elif not wrong:
        typer.echo(f"{len(rows)} data files in {session.store.uri} are as they were read")
    if wrong:
        raise Problems([str(problem) for problem in wrong])
