"""Check a file of tasks: which tasks it defines, and what their files hold."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from stilts.data.labels import open_labels, with_labels
from stilts.data.prepare import TRANSLATED, Catalog
from stilts.data.tables import read_table
from stilts.errors import Problems, StiltsError
from stilts.experiment.data import DataDecl
from stilts.experiment.tasks import TaskFile
from stilts.identity.stage import DataRef
from stilts.tasks.base import Task
from stilts.tasks.own import own_tasks, use


@dataclass(frozen=True)
class CheckedTask:
    """A task of a file and its data.

    Attributes:
        found: the data that was read, by split and language.
        labels: those of the training data where the task declares none; else the task's.
    """

    task: Task
    found: dict[tuple[str, str], DataRef] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def check_file(path: Path) -> list[CheckedTask]:
    """Make the tasks of a file, and read all their local files.

    Raises:
        StiltsError: a mistake in the file.
        Problems: mistakes in it or in the data, each with its file and line.
    """
    file = TaskFile.read(path)
    use([file])
    checked, problems = [], []
    with tempfile.TemporaryDirectory(prefix="stilts-tasks-") as folder:
        catalog = Catalog(DataDecl(tasks=file.sources()), Path(folder))
        for task in own_tasks():
            found, wrong = _read(catalog, task)
            problems += wrong
            labels = task.labels
            if open_labels(task) and not wrong:
                tables = [read_table(Path(folder) / ref.path) for (split, _), ref in found.items() if split == "train"]
                try:
                    labels = with_labels(task, tables).labels if tables else ()
                except StiltsError as error:
                    problems.append(str(error))
            checked.append(CheckedTask(task, found, labels))
    if problems:
        raise Problems(problems)
    return checked


def _read(catalog: Catalog, task: Task) -> tuple[dict[tuple[str, str], DataRef], list[str]]:
    """The local files of a task, and the mistakes in them."""
    found: dict[tuple[str, str], DataRef] = {}
    problems: list[str] = []
    source = catalog.data.tasks.get(task.name)
    if source is None:
        return found, problems
    for split in ("train", TRANSLATED, "dev", "test"):
        if getattr(source, split) is None:
            continue
        there = [language for language in task.all_languages if catalog.has(task, split, language)]
        if not there:
            problems.append(f"{task.name}: {getattr(source, split)} does not exist in any of its languages")
        for language in there:
            try:
                found[split, language] = catalog.ref(task, split, language)
            except Problems as error:
                problems += error.messages
            except StiltsError as error:
                problems.append(str(error))
    return found, problems
