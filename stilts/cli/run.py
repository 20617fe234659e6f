"""plan, run, status: an experiment before, while and after it runs."""

import signal
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from stilts.cli.base import ExperimentFile, Json, Overrides, Patches, complain, console, print_json
from stilts.cli.results import show_results

INTERRUPTED = 130
"""Exit code of a run that was stopped, as shells have it for SIGINT."""

MaxGpuHours = Annotated[
    float | None,
    typer.Option(min=0, help="Stop when all launches of the experiment together have held GPUs for so long."),
]
MaxCost = Annotated[
    float | None, typer.Option(min=0, help="Stop when they have cost so much, by the prices in cluster:.")
]


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
    from stilts.plan.cost.price import priced
    from stilts.plan.cost.simulate import simulation
    from stilts.plan.summary import stage_rows, summarize
    from stilts.session import Session
    from stilts.show.plan import show_plan, show_simulation

    session = Session.open(experiment, overrides, patches)
    session.complete_declarations()
    found = session.plan()
    price, simulated = priced(found), simulation(found) if simulate else None
    if as_json:
        costs = {name: value for name, value in (("price", price), ("simulation", simulated)) if value is not None}
        absent = list(session.absent())
        print_json({**summarize(found), **costs, "absent_data": absent, "by_stage": stage_rows(found)})
        return
    show_plan(found, console())
    if simulated is not None:
        show_simulation(simulated, console())
    for task, ways in session.absent().items():
        console().print(f"[yellow]{task}: sizes as declared; before a run, give {ways}[/]")


def run(
    experiment: ExperimentFile,
    max_gpu_hours: MaxGpuHours = None,
    max_cost: MaxCost = None,
    tracker: Annotated[
        list[str], typer.Option(metavar="wandb|mlflow", help="Log there, too; TensorBoard files are written anyway.")
    ] = [],
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Train and evaluate what is missing, then write and print the table. The same command goes on after a stop."""
    from stilts.results.options import Options
    from stilts.run.launch import launch
    from stilts.run.meter import Limits
    from stilts.session import Session
    from stilts.show.results import print_scores

    # `ray job stop`, or a batch system that takes the machine back: as Ctrl-C.
    signal.signal(signal.SIGTERM, interrupt)
    session = Session.open(experiment, overrides, patches)
    try:
        unfinished = launch(session, Console(stderr=True), Limits(max_gpu_hours, max_cost), tracker)
    except KeyboardInterrupt:  # typer would end in a bare "Aborted"
        complain("interrupted; the same command goes on from here")
        raise typer.Exit(INTERRUPTED) from None
    show_results(session, Options(), as_json, print_scores)
    if not as_json:
        console().print("[dim]`stilts collect` prints what else they say; `stilts report` makes a page of it[/]")
    if unfinished is not None:
        raise unfinished


def interrupt(number: int, frame: Any) -> None:
    """A signal's handler: as Ctrl-C."""
    raise KeyboardInterrupt


def status(
    experiment: ExperimentFile,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the runs under way, until the last ends; Ctrl-C ends the watching.")
    ] = False,
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Show the state of every stage: done, running (where), failed (why), waiting."""
    from stilts.ledger.status import spending_of, stage_states
    from stilts.monitor.live import live_runs
    from stilts.monitor.live import watch as follow
    from stilts.session import Session
    from stilts.show.status import show_status, spending_line

    session = Session.open(experiment, overrides, patches)
    if watch and not as_json:
        try:
            follow(session.experiment, session.store, console())
        except KeyboardInterrupt:
            return
    states = stage_states(session.plan(), session.store)
    if as_json:
        runs = [run.to_json() for run in live_runs(session.store, session.experiment.name)]
        spent = asdict(spending_of(session.experiment, session.store))
        print_json({"stages": states, "spent": spent, "runs": runs})
        return
    show_status(states, console())
    if line := spending_line(session.experiment, session.store):
        console().print(line)
