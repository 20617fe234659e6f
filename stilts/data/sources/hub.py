"""Data sets of the Hugging Face hub, and local folders laid out like one, through `datasets`.

Only data files are read: `datasets` runs no loading scripts. Planning reads nothing of a data set on the hub.

What stands between a source and its content:
    A local folder is read anew each time, with a cache that lives as long as the reading: `datasets` would name its
    cache by the folder's last name alone, and give the rows of another folder, or of an older content.
    A data set of the hub has a cache of its own for each revision: without network `datasets` would take whatever
    revision it finds in the cache.
    csv files are read with `NA`, `null` and the like as text.

The columns that `HubSource.columns` maps are those that the task's family asks for: see the docstrings in
`tasks/families`.

`a+b` reads columns a and b as the items of one list, `a.b` the field b of column a.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources.columns import RowReport, check_columns
from stilts.data.sources.files import FORMATS
from stilts.data.sources.text import tell_left_out, to_table
from stilts.encoders.hub import ask_hub, hub_cache_error
from stilts.errors import StiltsError
from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT
from stilts.os_errors import HUB_CACHE, explained
from stilts.tasks.base import HubSource, Task
from stilts.tasks.families import HubRows, get_family
from stilts.tasks.families.hub import kind_of

PREFIX = "hub:"
"""Begins the identity of data on the hub."""


def identity(source: HubSource, task: Task, split: str, language: str) -> str:
    """`hub:ID/CONFIG@REVISION#SPLIT`: names the content before anything is downloaded.

    For a task of a user's own, a digest of how it reads the columns follows, because no version stands for that.
    """
    prefix = _fill(source.id_prefix, source, language)
    rows = f"[{prefix}]" if prefix else f"[:{source.lines}]" if source.lines else ""
    config = _fill(source.config, source, language)
    read = "" if task.origin is None else f"~{_reading(source, task)}"
    return f"{PREFIX}{source.id}/{config}@{source.revision}#{source.splits[split]}{rows}{read}"


def _reading(source: HubSource, task: Task) -> str:
    """A digest of everything that turns the data set's rows into a task's examples."""
    labels = None if source.labels is None else sorted((str(value), index) for value, index in source.labels.items())
    form = [task.origin, task.family, list(task.labels), task.files, source.files, task.parallel]
    return digest([form, dict(source.columns), labels])[:SHORT]


def load(source: HubSource, task: Task, split: str, language: str) -> pa.Table:
    """Download (or find in the revision's cache) and convert to the canonical table.

    Raises:
        StiltsError: no network, no such data set, configuration, split or column.
        Problems: nulls, values of another type, and labels outside the task's, by row (from 1) and column.
    """
    if source.lines is not None:
        return _load_lines(source, task, split, language)
    with _opened(source, task, split, language) as data:
        read = _read_columns(data, source, task, split, language)
    family = get_family(task.family)
    canonical = family.from_hub(HubRows(read.columns, read.classes, read.report.add, source, task))
    for row, label in enumerate(read.columns.get("label", ()) if split != "test" else ()):
        if label is None:
            read.report.add(row, source.columns["label"], f"is null, and {split} data needs a label")
    read.report.close()
    if "id" in read.columns:
        canonical["id"] = [str(name) for name in read.columns["id"]]
    elif task.parallel:  # rows are numbered before some are left out: translations must have the same id
        canonical.setdefault("id", [str(i) for i in range(len(next(iter(canonical.values()))))])
    for lacking, whole in family.hub_requirements.items() if split != "test" else ():
        canonical = _kept(source, canonical, lacking, whole)
    form = FORMATS.get(task.files or "")
    if form is not None and form.from_hub is not None:
        return form.from_hub(Path(source.id), canonical, language)
    count = len(next(iter(canonical.values())))
    if not count:
        raise StiltsError(f"{source.id}: no rows for task {task.name}, split {split}, language {language}")
    canonical.setdefault("id", [str(i) for i in range(count)])
    return to_table(Path(source.id), canonical, family.schema)


def _load_lines(source: HubSource, task: Task, split: str, language: str) -> pa.Table:
    """Read the first lines of articles, as they are downloaded. Blank lines are skipped."""
    assert source.lines is not None
    column = source.columns["text"]
    lines: list[str] = []
    with _opened(source, task, split, language) as data:
        report = RowReport(_where(source, split, language))
        for row, article in enumerate(_streamed(data, source, task, split, language)):
            if column not in article:
                raise StiltsError(f"{source.id} has no column {column} for {task.name}; it has {', '.join(article)}")
            if isinstance(article[column], str):
                lines += [line.strip() for line in article[column].split("\n") if line.strip()]
            else:
                report.add(row, column, f"is {kind_of(article[column])}, expected text")
            if len(lines) >= source.lines:
                break
    report.close()
    if not lines:
        raise StiltsError(f"{source.id}: no text for task {task.name}, split {split}, language {language}")
    columns = {"id": [str(i) for i in range(len(lines))], "text": lines}
    return to_table(Path(source.id), columns, get_family(task.family).schema).slice(0, source.lines)


def _streamed(data: Any, source: HubSource, task: Task, split: str, language: str) -> Iterator[dict[str, Any]]:
    """Yield rows of an iterable data set, whose files are opened while it is read."""
    try:
        yield from data
    except _failures() as error:
        local = Path(source.id).is_dir()
        config, hub_split = _fill(source.config, source, language), source.splits[split]
        raise _failure(source, task, config, hub_split, local, error) from error


def _failures() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean that data cannot be read or downloaded."""
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    # The hub's error derives from that of its HTTP client, of which a failed connection is another case.
    return (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError, *HfHubHTTPError.__bases__)


def _where(source: HubSource, split: str, language: str) -> str:
    """Return the name of a data set for messages, with its configuration and split."""
    config = _fill(source.config, source, language)
    return f"{source.id} ({', '.join(part for part in (config, f'split {source.splits[split]}') if part)})"


@dataclass(frozen=True)
class _Read:
    """Checked columns of a data set.

    Attributes:
        columns: values by our name.
        classes: the data set's own names of the classes of a column, by our name; None where it declares none.
        report: takes mistakes that a conversion finds.
    """

    columns: dict[str, list[Any]]
    classes: dict[str, list[str] | None]
    report: RowReport


def _read_columns(data: Any, source: HubSource, task: Task, split: str, language: str) -> _Read:
    """The columns that the source maps, checked; where it has an `id_prefix`, the rows of the language alone."""
    missing = [name for column in source.columns.values() for name in _names(column) if name not in data.column_names]
    if missing:
        raise StiltsError(
            f"{source.id} has no column {', '.join(missing)} for {task.name}; it has {', '.join(data.column_names)}"
        )
    where = _where(source, split, language)
    columns = {ours: _values(data, theirs) for ours, theirs in source.columns.items()}
    numbers = None
    prefix = _fill(source.id_prefix, source, language)
    if prefix:
        check_columns(RowReport(where), {"id": columns["id"]}, source.columns)
        keep = [i for i, name in enumerate(columns["id"]) if str(name).startswith(prefix)]
        columns = {name: [values[i] for i in keep] for name, values in columns.items()}
        numbers = [i + 1 for i in keep]
    report = RowReport(where, numbers)
    check_columns(report, columns, source.columns)
    classes = {ours: _class_names(data.features.get(theirs)) for ours, theirs in source.columns.items()}
    return _Read(columns, classes, report)


@contextmanager
def _opened(source: HubSource, task: Task, split: str, language: str) -> Iterator[Any]:
    """The rows as a `datasets.Dataset`, which must not be used after the block."""
    import datasets

    config, hub_split = _fill(source.config, source, language), source.splits[split]
    local = Path(source.id).is_dir()
    caches = Path(datasets.config.HF_DATASETS_CACHE)
    with explained("write", caches, what=HUB_CACHE):
        caches.mkdir(parents=True, exist_ok=True)
        temporary_folder = tempfile.TemporaryDirectory(dir=caches, prefix=".stilts-")
    with temporary_folder as temporary:
        cache = temporary if local else str(caches / _cache_name(source))
        try:
            data = _dataset(source, config, hub_split, local, cache)
        except _failures() as error:
            raise _failure(source, task, config, hub_split, local, error) from error
        yield data


def _cache_name(source: HubSource) -> str:
    """The folder of a revision's cache, below that of `datasets`."""
    named = hashlib.sha256(f"{source.id}@{source.revision}".encode()).hexdigest()[:12]
    return f"stilts-{source.id.replace('/', '--')}-{named}"


def _dataset(source: HubSource, config: str, hub_split: str, local: bool, cache: str) -> Any:
    import datasets

    if source.files:
        root = source.id if local else f"hf://datasets/{source.id}@{source.revision}"
        pattern = source.files.replace("{config}", config).replace("{split}", hub_split)
        files = {"rows": f"{root}/{pattern}"}
        streaming = source.lines is not None
        if not local:  # finds the files, and downloads none of them
            ask_hub(lambda: datasets.load_dataset_builder("parquet", data_files=files, cache_dir=cache))
        return datasets.load_dataset("parquet", data_files=files, split="rows", cache_dir=cache, streaming=streaming)
    where: dict[str, Any] = {"revision": None if local else source.revision, "cache_dir": cache}

    def find() -> Any:
        return datasets.load_dataset_builder(source.id, config or None, **where)

    builder = find() if local else ask_hub(find)
    options = {"streaming": source.lines is not None}
    if "csv" in type(builder.config).__name__.lower():
        options["keep_default_na"] = False
    return datasets.load_dataset(source.id, config or None, split=hub_split, **where, **options)


def _failure(source: HubSource, task: Task, config: str, hub_split: str, local: bool, error: Exception) -> StiltsError:
    """The error that says why a data set cannot be read, or that there is no room for its copy."""
    return hub_cache_error(error) or StiltsError(_unreadable(source, task, config, hub_split, local, error))


def _unreadable(source: HubSource, task: Task, config: str, hub_split: str, local: bool, error: Exception) -> str:
    reason = _innermost(error)
    what = f"cannot load {source.id} (configuration {config or 'default'}, split {hub_split}"
    if local:
        return (
            f"{what}) for task {task.name}: {reason}; check the folder: its README.md names the files of each "
            f"configuration and split under `configs:`; or give files as data.tasks.{task.name}"
        )
    return (
        f"{what}, revision {source.revision or 'none'}) for task {task.name}: {reason}; check the network, HF_TOKEN "
        f"and HF_HUB_OFFLINE, or give files as data.tasks.{task.name}"
    )


def _innermost(error: BaseException) -> str:
    """The first line of the error that `datasets` wrapped: it names the damaged file, or the cell."""
    while error.__cause__ is not None and type(error).__name__ == "DatasetGenerationError":
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _fill(pattern: str | None, source: HubSource, language: str) -> str:
    return (pattern or "").replace("{lang}", source.names.get(language, language))


def _names(column: str) -> list[str]:
    return [name.split(".")[0] for name in column.split("+")]


def _values(data: Any, column: str) -> list[Any]:
    if "+" in column:
        return [list(row) for row in zip(*(data[name][:] for name in column.split("+")), strict=True)]
    name, _, part = column.partition(".")
    if not part:
        return list(data[name][:])
    return [row.get(part) if isinstance(row, dict) else None for row in data[name]]


def _kept(
    source: HubSource, columns: dict[str, list[Any]], lacking: str, whole: Callable[[Mapping[str, Any]], bool]
) -> dict[str, list[Any]]:
    """Return the rows for which `whole` is true, and warn about the others."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    kept = [row for row in rows if whole(row)]
    tell_left_out(Path(source.id), len(rows) - len(kept), len(rows), lacking)
    return {name: [row[name] for row in kept] for name in columns}


def _class_names(feature: Any) -> list[str] | None:
    feature = getattr(feature, "feature", feature)
    return getattr(feature, "names", None)
