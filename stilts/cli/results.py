"""collect, claims, verify, report, explain, score, submission: the results of an experiment."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from stilts.cli.base import (
    ExperimentFile,
    Json,
    Overrides,
    Patches,
    console,
    emit,
    load,
    print_json,
    progress_console,
    write,
)

Baseline = Annotated[str, typer.Option(metavar="REGIME", help="Regime to which the others are compared.")]
Difference = Annotated[
    float,
    typer.Option(min=0, metavar="POINTS", help="Report how many seeds would show a difference of this many points."),
]


def collect(
    experiment: ExperimentFile,
    baseline: Baseline = "none",
    difference: Difference = 1.0,
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Compute all tables from what the store holds; write them as Parquet, Markdown, CSV and LaTeX, and print them."""
    import stilts

    declared = load(experiment, overrides, patches)
    results = stilts.collect(declared, baseline=baseline, difference=difference, console=progress_console())
    files = write("the tables are", results.write)
    if as_json:
        print_json(results.to_json())
        return
    results.show(console())
    if files:
        console().print(f"[dim]{len(files)} files in {results.folder}[/]")


def claims(experiment: ExperimentFile, patches: Patches = [], overrides: Overrides = [], as_json: Json = False) -> None:
    """Judge the claims of an experiment: supported, contradicted or undecided; write them to claims.json."""
    import stilts

    declared = load(experiment, overrides, patches)
    found = stilts.claims(declared, command=shlex.join(["stilts", *sys.argv[1:]]))
    written = write("claims.json is", found.write)
    emit(found, as_json)
    if written is not None and not as_json:
        console().print(f"[dim]{escape(str(written))}[/]", soft_wrap=True)


def verify(experiment: ExperimentFile, patches: Patches = [], overrides: Overrides = [], as_json: Json = False) -> None:
    """Recompute the verdicts of all claims from the stored predictions, and compare them with claims.json.

    The exit code is 1 if predictions or scores were altered, or a verdict is another one than was reported.
    """
    import stilts

    found = stilts.verify(load(experiment, overrides, patches), console=progress_console())
    emit(found, as_json)
    found.raise_if_altered()


def report(
    experiment: ExperimentFile,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="HTML file to write; default: report.html in the results folder."),
    ] = None,
    baseline: Baseline = "none",
    difference: Difference = 1.0,
    patches: Patches = [],
    overrides: Overrides = [],
) -> None:
    """Write one HTML page that says what helped, with all results, and the figures of a paper."""
    import stilts

    written = stilts.report(
        load(experiment, overrides, patches),
        out=out,
        baseline=baseline,
        difference=difference,
        command=shlex.join(["stilts", *sys.argv[1:]]),
        console=progress_console(),
    )
    written.show(console())


def explain(
    stage: Annotated[
        str,
        typer.Argument(help="Name of a stage of the experiment, with or without its key, or the beginning of the key."),
    ],
    experiment: Annotated[Path, typer.Option("--experiment", "-e", help="YAML file of the experiment.")],
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Say why a stage is not reused: the fields in which it differs from the nearest stage in the store."""
    import stilts

    emit(stilts.explain(load(experiment, overrides, patches), stage), as_json)


def score(
    predictions: Annotated[Path, typer.Option(help="Folder with files TASK/test-LANGUAGE.")],
    labels: Annotated[Path, typer.Option(help="Folder with the gold labels, in the same layout.")],
    benchmark: Annotated[str, typer.Option(help="xtreme, xtreme-r, or a YAML file of your own")] = "xtreme",
    as_json: Json = False,
) -> None:
    """Score a prediction folder in XTREME's layout as its evaluate.py does.

    Averages over tasks are there only if all of their tasks are scored in all languages. If a file cannot be scored,
    the others are scored all the same, and the exit code is 1.
    """
    import stilts

    scores = stilts.score(predictions, labels, benchmark=benchmark)
    emit(scores, as_json)
    scores.raise_if_incomplete()


def submission(
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    intermediate: Annotated[
        list[str],
        typer.Option(
            metavar="[TARGET=]REGIME", help="Use this regime instead of the best on dev. Repeat it for several targets."
        ),
    ] = [],
    model: Annotated[str | None, typer.Option(help="Base model, if the experiment has several.")] = None,
    patches: Patches = [],
    overrides: Overrides = [],
    as_json: Json = False,
) -> None:
    """Write XTREME's prediction folder and its zip, with the best intermediate per target on dev."""
    import stilts

    declared = load(experiment, overrides, patches)
    emit(stilts.submission(declared, out, intermediates=intermediate, model=model), as_json)
