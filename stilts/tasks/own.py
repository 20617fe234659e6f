"""Tasks of a user's own: made from the files that an experiment names, and put in force in this process.

`use(files)` puts the tasks of one experiment in force, and takes those of another out. The driver calls it when it
expands an experiment, each rank when it begins a stage; the files' text comes with the experiment or the job. YAML is
only read. A Python file is executed once per process: it is code that the user names himself, as if he had imported it.
"""

import hashlib
import re
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

from stilts.discovery import REGISTRIES
from stilts.errors import Problems, StiltsError, nearest
from stilts.experiment.tasks import HubDecl, TaskDecl, TaskFile
from stilts.tasks.base import HubSource, Task, all_tasks, register
from stilts.tasks.families import Family, all_families, get_family
from stilts.tasks.metrics import metrics_of
from stilts.tasks.metrics.base import find_metric

DECLARED = "declared"
"""`Task.origin` of tasks that are declared in YAML."""

Entry = tuple[dict[Any, Any], Any, Any]
"""A registry, a key in it, and what is registered there."""

_IN_FORCE: dict[TaskFile, list[Entry]] = {}
"""The files in force, in their order, with what each has registered."""
_EXECUTED: dict[TaskFile, list[Entry]] = {}
"""What each Python file has registered that was executed in this process."""
_LOCK = threading.RLock()


def use(files: Sequence[TaskFile]) -> None:
    """Put the tasks of these files in force, in place of those of earlier files.

    Raises:
        StiltsError: a file of Python raises an error, or a name is taken.
        Problems: mistakes in declarations, by file and task.
    """
    with _LOCK:
        all_tasks()
        if list(files) == list(_IN_FORCE):
            return
        _take_out()
        try:
            for file in files:
                _IN_FORCE[file] = _put_in_force(file)
            _check_together(own_tasks())
        except BaseException:
            _take_out()
            raise


def own_tasks() -> list[Task]:
    """The tasks of the files that are in force."""
    return [value for entries in _IN_FORCE.values() for _, _, value in entries if isinstance(value, Task)]


def _take_out() -> None:
    """Take what the files in force have registered out of the registries."""
    for entries in _IN_FORCE.values():
        for registry, key, _ in entries:
            registry.pop(key, None)
    _IN_FORCE.clear()


def _put_in_force(file: TaskFile) -> list[Entry]:
    """Register what a file defines."""
    if not file.is_python:
        return _registered_by(file)
    if file not in _EXECUTED:
        _EXECUTED[file] = _registered_by(file)
        return _EXECUTED[file]
    for registry, key, value in _EXECUTED[file]:
        if key in registry:
            raise StiltsError(f"{file.file}: the name {key!r} is taken; give it another")
        registry[key] = value
    return _EXECUTED[file]


def _registered_by(file: TaskFile) -> list[Entry]:
    """What a file registers, which is then in force. If the file has a mistake, nothing of it is."""
    all_families()
    before = [(registry, set(registry)) for registry in REGISTRIES]
    known = [registry for registry, _ in before]
    try:
        if file.is_python:
            _execute(file)
        else:
            _register_declared(file)
    except BaseException:
        for registry, keys in before:
            for key in set(registry) - keys:
                del registry[key]
        raise
    new = [(registry, set[Any]()) for registry in REGISTRIES if not any(registry is other for other in known)]
    found = [
        (registry, key, registry[key]) for registry, keys in (*before, *new) for key in registry if key not in keys
    ]
    if not found:
        raise StiltsError(f"{file.file} registers no task; call register(Task(...)) in it")
    return [_marked(file, entry) for entry in found]


def _marked(file: TaskFile, entry: Entry) -> Entry:
    """Note in a task of a Python file which content defined it."""
    registry, key, value = entry
    if file.is_python and isinstance(value, Task):
        value = replace(value, origin=hashlib.sha256(file.text.encode()).hexdigest())
        registry[key] = value
    return registry, key, value


def _execute(file: TaskFile) -> None:
    """Run a Python file as a module of its own.

    Raises:
        StiltsError: it raised an exception; the message has the file and the line.
    """
    name = f"stilts_own_{hashlib.sha256(file.text.encode()).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = file.file
    sys.modules[name] = module  # dataclasses and pickle look their module up
    try:
        exec(compile(file.text, file.file, "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, SyntaxError):
            line = error.lineno
        else:
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file.file]
            line = lines[-1] if lines else None
        where = f"{file.file}:{line}" if line else file.file
        what = str(error) if isinstance(error, StiltsError) else f"{type(error).__name__}: {error}"
        raise StiltsError(f"{where}: {what}") from error


def _register_declared(file: TaskFile) -> None:
    problems = []
    declared = file.declarations()
    # A task that trains on another one takes over its family and labels, so that one comes first.
    for name in sorted(declared, key=lambda name: declared[name].train_on is not None):
        try:
            register(make_task(name, declared[name]))
        except Problems as error:
            problems += error.messages
        except StiltsError as error:
            problems.append(str(error).removeprefix(f"task {name}: "))
            problems[-1] = f"{file.file}: {name}: {problems[-1]}"
    if problems:
        raise Problems(problems)


def make_task(name: str, decl: TaskDecl) -> Task:
    """The task that a declaration describes; what it leaves out is as usual in its family.

    Raises:
        StiltsError: something in it cannot be: an unknown family, metric, column or label, or a missing one.
    """
    base = _trained_on(name, decl)
    if decl.family is None and base is None:
        raise StiltsError(f"family is missing; valid: {', '.join(sorted(all_families()))}")
    family = get_family(decl.family or str(base and base.family))
    labels = decl.labels or (base.labels if base else ())
    if not labels and family.takes_labels:
        labels = tuple(dict.fromkeys(str(value) for value in decl.label_values.values()))
    _check_labels(family, labels, trained_elsewhere=base is not None)
    _check_columns(family, decl)
    numbers = _label_numbers(decl, labels)
    metrics = _metrics(name, family, decl, labels, base)
    recipe = {**(family.usual_recipe if base is None else {}), **decl.recipe.model_dump()}
    lengths = {field: value for field, value in recipe.items() if field in family.usual_settings}
    usual = base.settings if base is not None else {**family.usual_settings, **lengths}
    return Task(
        name=name,
        version=decl.version,
        family=family.name,
        languages=decl.languages,
        metric=metrics[0],
        metrics=_with_parts(family, name, metrics),
        train_on=decl.train_on or (name if family.has_head else None),
        labels=labels,
        recipe=recipe,
        settings={**usual, **decl.settings},
        splits=_splits(family, decl),
        hub=_hub(decl.hub, decl.columns, numbers),
        files=decl.format or _format(family, decl),
        sizes=decl.sizes,
        tokens_per_row=decl.tokens_per_row,
        head=decl.head or (base.head if base is not None else None),
        parallel=decl.parallel,
        answers=None if decl.metric or base is None else base.answers,
        columns=decl.columns,
        label_values=numbers or {},
        origin=DECLARED,
    )


def _trained_on(name: str, decl: TaskDecl) -> Task | None:
    """The other task that a declaration trains on, if it does."""
    if decl.train_on in (None, name):
        return None
    tasks = all_tasks()
    if decl.train_on not in tasks:
        raise StiltsError(f"train_on: unknown task {decl.train_on!r}; {nearest(str(decl.train_on), tasks)}")
    return tasks[decl.train_on]


def _check_labels(family: Family, labels: Sequence[str], *, trained_elsewhere: bool) -> None:
    if labels and not family.takes_labels:
        raise StiltsError(f"labels: the family {family.name} has none; leave them out")
    if not labels and family.takes_labels and family.label_column is None and not trained_elsewhere:
        raise StiltsError(f"labels is missing: the family {family.name} does not read them from the data; list them")
    if labels and len(labels) < 2 and family.takes_labels:
        raise StiltsError(f"labels: {labels[0]!r} alone leaves nothing to tell apart; list at least two")


def _check_columns(family: Family, decl: TaskDecl) -> None:
    known = (*family.columns, *family.optional_columns, "id")
    if not decl.columns:
        return
    if not family.columns:
        raise StiltsError(f"columns: the family {family.name} is read from files of its own format alone")
    if unknown := [column for column in decl.columns if column not in known]:
        raise StiltsError(
            f"columns.{unknown[0]}: the family {family.name} has no such column; {nearest(unknown[0], known)}"
        )
    if missing := [column for column in family.columns if column not in decl.columns]:
        raise StiltsError(f"columns: {', '.join(missing)} of the family {family.name} is missing")


def _label_numbers(decl: TaskDecl, labels: Sequence[str]) -> dict[Any, int] | None:
    """The index of each label as the data spells it. Numbers are found as numbers and as text."""
    if not decl.label_values:
        return None
    found: dict[Any, int] = {}
    for spelling, label in decl.label_values.items():
        if isinstance(label, str) and label not in labels:
            raise StiltsError(f"label_values.{spelling}: {label!r} is not one of the labels {', '.join(labels)}")
        number = label if isinstance(label, int) else list(labels).index(label)
        found[spelling] = number
        if re.fullmatch(r"-?[0-9]+", spelling):
            found[int(spelling)] = number
    return found


def _metrics(name: str, family: Family, decl: TaskDecl, labels: Sequence[str], base: Task | None) -> tuple[str, ...]:
    """The metrics of a task, the main one first."""
    usual = family.usual_metrics if base is None else (base.metric, *base.metrics)
    if decl.metric is None and not usual:
        known = ", ".join(sorted(metrics_of(family.scored_as)))
        raise StiltsError(f"metric is missing: name the main one; the family {family.name} has {known}")
    main = (decl.metric,) if decl.metric is not None else usual
    return tuple(dict.fromkeys((*main, *(decl.metrics or ()))))


def _with_parts(family: Family, name: str, metrics: tuple[str, ...]) -> tuple[str, ...]:
    """The metrics that an evaluation yields: in place of a mean of two metrics, its parts."""
    if not family.scored_as:
        return metrics
    found: list[str] = []
    for metric in metrics:
        found += find_metric(family.scored_as, metric, f"task {name}").parts or (metric,)
    return tuple(dict.fromkeys(found))


def _format(family: Family, decl: TaskDecl) -> str | None:
    """The format of files if none is named. Where columns are, files are tables, also those that replace hub data."""
    tables = decl.columns and not (decl.hub is not None and family.hub_needs_format)
    return "table" if tables else family.usual_format


def _splits(family: Family, decl: TaskDecl) -> tuple[str, ...]:
    evaluated = () if not family.scored_as else ("dev", "test")
    if decl.hub is not None:
        return tuple(split for split in evaluated if split in decl.hub.splits)
    if decl.files is not None:
        return tuple(split for split in evaluated if getattr(decl.files, split) is not None)
    return evaluated


def _hub(decl: HubDecl | None, columns: dict[str, str], labels: dict[Any, int] | None) -> HubSource | None:
    if decl is None:
        return None
    return HubSource(
        id=decl.id,
        revision=decl.revision or "",
        splits=decl.splits,
        columns=columns,
        config=decl.config,
        labels=labels,
        files=decl.files,
        names=decl.names,
        id_prefix=decl.id_prefix,
        without=decl.without,
    )


def _check_together(tasks: Sequence[Task]) -> None:
    """Pass where each task agrees with the one that it trains on.

    Raises:
        StiltsError: a task has another family or other labels than the one whose head it uses.
    """
    every = all_tasks()
    for task in tasks:
        if task.train_on is not None:
            if task.train_on not in every:
                raise StiltsError(
                    f"task {task.name}: train_on: no task {task.train_on!r}; {nearest(task.train_on, every)}"
                )
            other = every[task.train_on]
            if (other.family, other.labels) != (task.family, task.labels):
                raise StiltsError(
                    f"task {task.name}: it trains on {other.name}, which has another family or other labels; leave "
                    "family and labels out to have the same"
                )
