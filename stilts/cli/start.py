"""init, fields, schema: help with writing an experiment."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from stilts.cli.base import Json, console, print_json


def init(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA_FOLDER]", help="Folder of data; without one, data comes from the hub."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write; it must not exist.")] = Path(
        "experiment.yaml"
    ),
) -> None:
    """Look at a folder of data and write the YAML of an experiment on it, with comments, ready to be planned."""
    from stilts.data.draft import MOST_NOTES, draft_experiment
    from stilts.errors import StiltsError

    text, notes = draft_experiment(folder and folder.absolute(), out.stem)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise StiltsError(f"{out} exists already; give another --out") from None
    except OSError as error:
        raise StiltsError(f"cannot write {out}: {error.strerror}") from None
    for note in notes[:MOST_NOTES]:
        typer.echo(f"note: {note}", err=True)
    if len(notes) > MOST_NOTES:
        typer.echo(f"note: {len(notes) - MOST_NOTES} more notes are left out", err=True)
    typer.echo(f"{out} is written; look at it, then: stilts plan {out}")


def fields(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One field, such as recipe.warmup; without it, all of them.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Describe the fields of an experiment: type, default and meaning."""
    from dataclasses import asdict

    from stilts.experiment.reference import find, models

    if name is None:
        if as_json:
            print_json([asdict(model) for model in models()])
            return
        screen = console()
        for model in models():
            paths = ", ".join(path or "top of the file" for path in model.paths)
            screen.print(f"[bold]{escape(paths)}[/]: {escape(model.description)}", highlight=False)
            for field in model.fields:
                screen.print(f"  [cyan]{escape(field.path)}[/]  {escape(field.type)}; {escape(field.presence)}")
            screen.print()
        screen.print("[dim]`stilts fields NAME` says what a field means.[/]")
        return
    found = find(name)
    if as_json:
        print_json([asdict(field) for field in found])
        return
    for field in found:
        console().print(f"[bold cyan]{escape(field.path)}[/]  {escape(field.type)}; {escape(field.presence)}")
        console().print(f"  {escape(field.description)}", highlight=False)


def schema(
    search: Annotated[bool, typer.Option("--search", help="Print the schema of a search's YAML instead.")] = False,
) -> None:
    """Print the JSON schema of an experiment's YAML, with which editors complete and check fields."""
    from stilts.experiment.experiment import Experiment
    from stilts.experiment.search import Tuning

    print_json((Tuning if search else Experiment).model_json_schema())
