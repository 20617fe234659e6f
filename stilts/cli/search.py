"""tune: find a stage's recipe."""

import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from stilts.cli.base import Json, Overrides, Patches, complain, console, print_json
from stilts.cli.run import INTERRUPTED, MaxCost, MaxGpuHours, interrupt

SearchFile = Annotated[Path, typer.Argument(metavar="SEARCH", help="YAML file of the search.")]


def tune(
    search: SearchFile,
    max_gpu_hours: MaxGpuHours = None,
    max_cost: MaxCost = None,
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Search for a stage's best recipe, then write it with a table and plots. The same command goes on after a stop."""
    from stilts.run.meter import Limits
    from stilts.search.figures import save_search
    from stilts.search.launch import open_search
    from stilts.search.launch import tune as run_search
    from stilts.search.session import SearchSession
    from stilts.search.study import best_of
    from stilts.search.trials import best_recipe, trials_grid, trials_table, write_trials
    from stilts.show.grid import show

    signal.signal(signal.SIGTERM, interrupt)
    found = SearchSession.open(search, overrides, patches)
    study = open_search(found)
    try:
        unfinished = run_search(found, study, Console(stderr=True), Limits(max_gpu_hours, max_cost))
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on from here")
        raise typer.Exit(INTERRUPTED) from None
    table = trials_table(study, list(found.search.space.dimensions()))
    best = None
    if (trial := best_of(study)) is not None:
        best = best_recipe(table, found.subject.patch(trial.params), study.study_name, found.subject.metric)
    results = found.session.results
    files = write_trials(results, table, found.subject.title, best)
    files += save_search(study, results)
    if as_json:
        print_json(table.to_pylist())
    else:
        show(console(), [trials_grid(table, found.subject.title)])
        console().print(f"[dim]{len(files)} files in {results}; the best recipe: --with {results / 'best.yaml'}[/]")
    if unfinished is not None:
        raise unfinished
