"""Data sets of the Hugging Face hub, and local folders laid out like one, through `datasets`.

Only data files are read: `datasets` runs no loading scripts. Planning reads nothing of a data set on the hub.

What stands between a source and its content:
    A local folder is read anew each time, with a cache that lives as long as the reading: `datasets` would name its
    cache by the folder's last name alone, and give the rows of another folder, or of an older content.
    A data set of the hub has a cache of its own for each revision: without network `datasets` would take whatever
    revision it finds in the cache.
    csv files are read with `NA`, `null` and the like as text.

Columns that `HubSource.columns` maps, by family:
    classification   text_a, text_b, label
    multiple_choice  text_a, choices, label; question (asked after text_a), prefix (text that every choice continues)
    tagging          tokens, tags
    span_qa          id, context, question, answers ({"text": [...], "answer_start": [...]}, or a list of such structs)
    dual_encoder     as span_qa: questions and the sentences of their answers
    mlm              text
    retrieval        foreign, en: aligned rows; the English side is sorted and its gold kept, as in XTREME's folder

`a+b` reads columns a and b as the items of one list, `a.b` the field b of column a.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources.choices import continuations, prompt
from stilts.data.sources.columns import NO_LABEL, RowReport, answers_of, check_columns, kind_of
from stilts.data.sources.lareqa import question_table
from stilts.data.sources.text import tell_left_out, to_table
from stilts.errors import StiltsError
from stilts.tasks.base import HubSource, Task
from stilts.tasks.schema import SCHEMAS


def identity(source: HubSource, split: str, language: str) -> str:
    """`hub:ID/CONFIG@REVISION#SPLIT`: names the content before anything is downloaded."""
    prefix = _fill(source.id_prefix, source, language)
    rows = f"[{prefix}]" if prefix else ""
    return f"hub:{source.id}/{_fill(source.config, source, language)}@{source.revision}#{source.splits[split]}{rows}"


def load(source: HubSource, task: Task, split: str, language: str) -> pa.Table:
    """Download (or find in the revision's cache) and convert to the canonical table.

    Raises:
        StiltsError: no network, no such data set, configuration, split or column.
        Problems: nulls, values of another type, and labels outside the task's, by row (from 1) and column.
    """
    with _opened(source, task, split, language) as data:
        read = _read_columns(data, source, task, split, language)
    canonical = _CONVERT[task.family](read, source, task)
    for row, label in enumerate(read.columns.get("label", ()) if split != "test" else ()):
        if label is None:
            read.report.add(row, source.columns["label"], f"is null, and {split} data needs a label")
    read.report.close()
    if "id" in read.columns:
        canonical["id"] = [str(name) for name in read.columns["id"]]
    if split != "test" and task.family == "classification":
        canonical = _whole(source, _decided(source, canonical))
    if task.family == "dual_encoder":
        return question_table(Path(source.id), canonical, language)
    count = len(next(iter(canonical.values())))
    if not count:
        raise StiltsError(f"{source.id}: no rows for task {task.name}, split {split}, language {language}")
    canonical.setdefault("id", [str(i) for i in range(count)])
    return to_table(Path(source.id), canonical, SCHEMAS[task.family])


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
    config = _fill(source.config, source, language)
    where = f"{source.id} ({', '.join(part for part in (config, f'split {source.splits[split]}') if part)})"
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
    caches.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=caches, prefix=".stilts-") as temporary:
        cache = temporary if local else str(caches / _cache_name(source))
        try:
            data = _dataset(source, config, hub_split, local, cache)
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            raise StiltsError(_unreadable(source, task, config, hub_split, local, error)) from error
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
        return datasets.load_dataset("parquet", data_files=files, split="rows", cache_dir=cache)
    where: dict[str, Any] = {"revision": None if local else source.revision, "cache_dir": cache}
    builder = datasets.load_dataset_builder(source.id, config or None, **where)
    options = {}
    if "csv" in type(builder.config).__name__.lower():
        options = {"keep_default_na": False}
    return datasets.load_dataset(source.id, config or None, split=hub_split, **where, **options)


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


def _decided(source: HubSource, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Without the pairs whose label is one of NO_LABEL (SNLI's pairs without a majority)."""
    keep = [i for i, label in enumerate(columns["label"]) if label >= 0]
    tell_left_out(Path(source.id), len(columns["label"]) - len(keep), len(columns["label"]), "no label")
    return {name: [values[i] for i in keep] for name, values in columns.items()}


def _whole(source: HubSource, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Without the pairs one of whose texts is blank (two of QQP's)."""
    pairs = list(zip(columns["text_a"], columns["text_b"], strict=True))
    keep = [i for i, (a, b) in enumerate(pairs) if a.strip() and b.strip()]
    tell_left_out(Path(source.id), len(pairs) - len(keep), len(pairs), "not two texts")
    return {name: [values[i] for i in keep] for name, values in columns.items()}


def _class_names(feature: Any) -> list[str] | None:
    feature = getattr(feature, "feature", feature)
    return getattr(feature, "names", None)


def _classification(read: _Read, source: HubSource, task: Task) -> dict[str, Any]:
    return {
        "text_a": read.columns["text_a"],
        "text_b": read.columns["text_b"],
        "label": _indices(read, source, lambda value: _label(value, read.classes["label"], source, task)),
    }


def _indices(read: _Read, source: HubSource, index: Callable[[Any], int | str]) -> list[int]:
    """The index of each label; -1 where `index` says (as text) what is wrong with the value, which is reported."""
    found = []
    for row, value in enumerate(read.columns["label"]):
        result = index(value)
        if isinstance(result, str):
            read.report.add(row, source.columns["label"], result)
        found.append(-1 if isinstance(result, str) else result)
    return found


def _label(value: Any, classes: list[str] | None, source: HubSource, task: Task) -> int | str:
    """Index into the task's labels: by the source's map, by the data set's name of the class, or as it stands."""
    if value in NO_LABEL or value is None:
        return -1
    if source.labels is not None:
        return source.labels[value] if value in source.labels else _no_label(value, map(str, source.labels), task)
    if classes is not None and isinstance(value, int):
        if not 0 <= value < len(classes):
            return _no_label(value, classes, task)
        name = classes[value]
    else:
        name = str(value)
    if name in task.labels:
        return task.labels.index(name)
    if isinstance(value, int) and 0 <= value < len(task.labels):
        return value
    return _no_label(name, task.labels, task)


def _no_label(value: Any, labels: Any, task: Task) -> str:
    return f"label {value!r} is not one of {', '.join(labels)} of task {task.name}"


def _multiple_choice(read: _Read, source: HubSource, task: Task) -> dict[str, Any]:
    columns = read.columns
    contexts = columns["text_a"]
    starts = columns.get("prefix") or [""] * len(contexts)
    if "question" in columns:
        contexts = [prompt(*pair) for pair in zip(contexts, columns["question"], strict=True)]
    return {
        "text_a": contexts,
        "choices": [continuations(start, ends) for start, ends in zip(starts, columns["choices"], strict=True)],
        "label": _indices(read, source, lambda value: _choice(value, source, task)),
    }


def _choice(value: Any, source: HubSource, task: Task) -> int | str:
    """The index of the right choice; -1 where there is none."""
    if value in NO_LABEL or value in ("", None):
        return -1
    if source.labels is not None:
        return source.labels[value] if value in source.labels else _no_label(value, map(str, source.labels), task)
    if str(value).isdecimal():
        return int(value)
    return f"is {kind_of(value)}, expected the number of a choice, from 0"


def _tagging(read: _Read, source: HubSource, task: Task) -> dict[str, Any]:
    tokens, tags, column = read.columns["tokens"], read.columns["tags"], source.columns["tags"]
    named = [_tag_names(row, read.classes["tags"]) for row in tags]
    for index, (words, names) in enumerate(zip(tokens, named, strict=True)):
        if isinstance(names, str):
            read.report.add(index, column, names)
        elif names and len(names) != len(words):
            read.report.add(index, column, f"{len(names)} tags for {len(words)} tokens")
    return {"tokens": tokens, "tags": [[] if isinstance(names, str) else names for names in named]}


def _tag_names(row: Sequence[Any], classes: list[str] | None) -> list[str] | str:
    """The tags of a sentence by name, or what is wrong with one of them."""
    names = []
    for number, tag in enumerate(row, 1):
        if isinstance(tag, str):
            names.append(tag)
        elif classes is None:
            return f"item {number} is {kind_of(tag)}, and the data set does not name its classes"
        elif not 0 <= tag < len(classes):
            return f"item {number} is {kind_of(tag)}, and there are {len(classes)} classes"
        else:
            names.append(classes[tag])
    return names


def _span_qa(read: _Read, source: HubSource, task: Task) -> dict[str, Any]:
    answers = [[{"text": text, "start": start} for text, start in answers_of(row)] for row in read.columns["answers"]]
    return {"context": read.columns["context"], "question": read.columns["question"], "answers": answers}


def _mlm(read: _Read, source: HubSource, task: Task) -> dict[str, Any]:
    texts = [text.strip() for text in read.columns["text"]]
    return {"text": [text for text in texts if text]}


def _retrieval(read: _Read, source: HubSource, task: Task) -> dict[str, Any]:
    foreign, english = ([text.rstrip("\n") for text in read.columns[side]] for side in ("foreign", "en"))
    order = sorted(range(len(english)), key=english.__getitem__)  # stable: equal sentences keep their order
    count = len(english)
    return {
        "side": ["foreign"] * count + ["en"] * count,
        "id": [str(i) for i in range(count)] * 2,
        "text": foreign + [english[i] for i in order],
        "gold": [[] for _ in foreign] + [[str(i)] for i in order],
    }


_CONVERT: dict[str, Callable[[_Read, HubSource, Task], dict[str, Any]]] = {
    "classification": _classification,
    "multiple_choice": _multiple_choice,
    "tagging": _tagging,
    "span_qa": _span_qa,
    "dual_encoder": _span_qa,
    "mlm": _mlm,
    "retrieval": _retrieval,
}
