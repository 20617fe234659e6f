"""plan, run, tune, status, logs: an experiment or a search before, while and after it runs."""

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stilts.cli.base import (
    ExperimentFile,
    Json,
    Overrides,
    Patches,
    console,
    emit,
    interruptible,
    load,
    print_json,
    progress_console,
    write,
)
from stilts.cli.exit_codes import FAILED
from stilts.experiment.secrets import redact

if TYPE_CHECKING:
    from stilts.experiment.experiment import Experiment

SearchFile = Annotated[Path, typer.Argument(metavar="SEARCH", help="YAML file of the search.")]
MaxGpuHours = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Stop when all runs of the experiment together have used this many GPU-hours (CPU-hours without GPUs).",
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(min=0, help="Stop when they have cost this much, at the prices in the field cluster."),
]


def plan(
    experiment: ExperimentFile,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulate the run on the machines that the field cluster describes.")
    ] = False,
    beside: Annotated[
        list[Path],
        typer.Option(
            "--beside",
            metavar="FILE",
            help="Compare hours and prices with those of the experiment with this file laid over it, such as "
            "ray_jobs/sharded.yaml. Repeat it for several files.",
        ),
    ] = [],
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Show what an experiment holds: cells, stages, what is done, and what a run costs. Starts nothing."""
    import stilts

    others = {file.name: load(experiment, overrides, [*patches, file]) for file in beside}
    emit(stilts.plan(load(experiment, overrides, patches), simulate=simulate, beside=others), as_json)


def run(
    experiment: ExperimentFile,
    max_gpu_hours: MaxGpuHours = None,
    max_cost: MaxCost = None,
    tracker: Annotated[
        list[str],
        typer.Option(
            metavar="wandb|mlflow",
            help="Log to this tracker, in addition to TensorBoard files. Repeat it for several trackers.",
        ),
    ] = [],
    retry: Annotated[
        list[str],
        typer.Option(
            metavar="diverged",
            help="Train stages again that diverged in an earlier run. Stages that failed are always tried again.",
        ),
    ] = [],
    debug: Annotated[
        str,
        typer.Option(
            metavar="STAGE",
            help="Run only this stage, in this process and without Ray, so that print and breakpoint() work. Its "
            "parent must be done, and runtime.ranks must be 1.",
        ),
    ] = "",
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Train and evaluate what is missing, then write and print the table. After a stop, the same command continues."""
    import stilts

    declared = load(experiment, overrides, patches)
    if debug:
        _debug(declared, debug)
        return
    with interruptible():
        result = stilts.run(
            declared,
            max_gpu_hours=max_gpu_hours,
            max_cost=max_cost,
            trackers=tracker,
            retry=retry,
            console=progress_console(),
        )
    results = stilts.collect(declared, console=progress_console())
    files = write("the tables are", results.write)
    if as_json:
        print_json(results.to_json())
    else:
        results.show_scores(console())
        if files:
            console().print(f"[dim]{len(files)} files in {results.folder}[/]")
        console().print("[dim]`stilts collect` prints all analyses; `stilts report` makes a page of them[/]")
    result.raise_if_incomplete()


def _debug(experiment: "Experiment", stage: str) -> None:
    """Run one stage in this process. An error of the program is printed with its traceback."""
    import stilts

    try:
        with interruptible():
            name = stilts.debug(experiment, stage, console=progress_console())
    except stilts.StiltsError:
        raise
    except Exception:
        sys.stderr.write(redact(traceback.format_exc()))
        raise typer.Exit(FAILED) from None
    progress_console().print(f"[green]done[/] {name}" if name else "[green]done already[/]", highlight=False)


def tune(
    search: SearchFile,
    max_gpu_hours: MaxGpuHours = None,
    max_cost: MaxCost = None,
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Search for the best recipe of a stage; write it, a table and plots. After a stop, the same command continues."""
    import stilts

    with interruptible():
        result = stilts.tune(
            search,
            overrides=overrides,
            patches=patches,
            max_gpu_hours=max_gpu_hours,
            max_cost=max_cost,
            console=progress_console(),
        )
    emit(result, as_json)
    result.raise_if_incomplete()


def status(
    experiment: ExperimentFile,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Follow the runs until the last one ends; Ctrl-C ends only the display."),
    ] = False,
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Show the state of every stage: done, running (where), failed (why), waiting."""
    import stilts
    from stilts.monitor.live import watch as follow

    declared = load(experiment, overrides, patches)
    if watch and not as_json:
        try:
            follow(declared, stilts.open_store(declared.store), console())
        except KeyboardInterrupt:
            return
    emit(stilts.status(declared), as_json)


def logs(
    stage: Annotated[
        str,
        typer.Argument(help="Name of a stage, or an unambiguous beginning of its name or of its key."),
    ],
    experiment: Annotated[
        Path | None,
        typer.Option("--experiment", "-e", help="YAML file of an experiment that has the stage, in place of --store."),
    ] = None,
    store: Annotated[str, typer.Option(help="Store to look in.")] = "stilts-store",
    rank: Annotated[int | None, typer.Option(min=0, help="Only this rank; default: all.")] = None,
    attempt: Annotated[int | None, typer.Option(min=0, help="Number of the attempt; default: the last.")] = None,
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Show why a stage failed, with its traceback, and the last lines that each rank wrote, on which machine.

    All of it is in the store, also when the machine is gone. It is removed when the stage is done.
    """
    import stilts

    declared = None if experiment is None else load(experiment, overrides, patches)
    emit(stilts.logs(stage, experiment=declared, store=store, attempt=attempt, rank=rank), as_json)
