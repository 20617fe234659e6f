"""tasks list, tasks show, tasks check: the tasks of the library and those of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from stilts.cli.base import Json, console, print_json

Files = Annotated[
    list[Path],
    typer.Option("--file", metavar="FILE", help="File of tasks of your own, YAML or Python. Repeat it for several."),
]


def list_tasks(
    files: Files = [],
    families: Annotated[
        bool, typer.Option("--families", help="List the families instead: metrics, columns and file format of each.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List all tasks: family, main metric, languages, and what each is trained on."""
    from stilts.show.tasks import families as all_families
    from stilts.show.tasks import listed, show_rows
    from stilts.tasks.base import all_tasks

    _use(files)
    rows = all_families() if families else [listed(task) for _, task in sorted(all_tasks().items())]
    if as_json:
        print_json(rows)
    else:
        show_rows(console(), rows)


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the task.")],
    files: Files = [],
    as_json: Json = False,
) -> None:
    """Describe a task: labels, languages, metrics, data, recipe and settings."""
    from stilts.show.tasks import described, show_task
    from stilts.tasks.base import get_task

    _use(files)
    task = get_task(name)
    if as_json:
        print_json(described(task))
    else:
        show_task(console(), task)


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of tasks, YAML or Python.")],
    as_json: Json = False,
) -> None:
    """Check a file of tasks and read the data files that it names; print what they hold, or every mistake."""
    from stilts.data.own import check_file
    from stilts.show.tasks import checked_json, show_checked

    checked = check_file(file)
    if as_json:
        print_json([checked_json(one) for one in checked])
        return
    for one in checked:
        show_checked(console(), one)


def _use(files: list[Path]) -> None:
    from stilts.experiment.tasks import TaskFile
    from stilts.tasks.own import use

    use([TaskFile.read(file) for file in files])
