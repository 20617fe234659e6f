"""Data sets of the Hugging Face hub, through `datasets`: data files only (it runs no loading scripts), nothing at
planning time.

Columns that `HubSource.columns` maps, by family:
    classification   text_a, text_b, label
    multiple_choice  text_a, choices, label; question (asked after text_a), prefix (text that every choice continues)
    tagging          tokens, tags
    span_qa          id, context, question, answers ({"text": [...], "answer_start": [...]})
    dual_encoder     as span_qa: questions and the sentences of their answers
    mlm              text
    retrieval        foreign, en: aligned rows; the English side is sorted and its gold kept, as in XTREME's folder

`a+b` reads columns a and b as the items of one list, `a.b` the field b of column a.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources.choices import continuations, prompt
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
    """Download (or find in the cache of `datasets`) and convert to the canonical table.

    Raises:
        StiltsError: no network, no such data set, configuration, split or column; a label outside the task's.
    """
    data = _load(source, task, split, language)
    missing = [name for column in source.columns.values() for name in _names(column) if name not in data.column_names]
    if missing:
        raise StiltsError(
            f"{source.id} has no column {', '.join(missing)} for {task.name}; it has {', '.join(data.column_names)}"
        )
    prefix = _fill(source.id_prefix, source, language)
    columns = {ours: _values(data, theirs) for ours, theirs in source.columns.items()}
    if prefix:
        keep = [i for i, name in enumerate(columns["id"]) if name.startswith(prefix)]
        columns = {name: [values[i] for i in keep] for name, values in columns.items()}
    names = {ours: _class_names(data.features.get(theirs)) for ours, theirs in source.columns.items()}
    canonical = _CONVERT[task.family](columns, names, source, task)
    if "id" in columns:
        canonical["id"] = [str(name) for name in columns["id"]]
    if split != "test" and task.family == "classification":
        canonical = _whole(source, _decided(canonical))
    if task.family == "dual_encoder":
        return question_table(Path(source.id), canonical, language)
    count = len(next(iter(canonical.values())))
    if not count:
        raise StiltsError(f"{source.id}: no rows for task {task.name}, split {split}, language {language}")
    canonical.setdefault("id", [str(i) for i in range(count)])
    return to_table(Path(source.id), canonical, SCHEMAS[task.family])


def _load(source: HubSource, task: Task, split: str, language: str) -> Any:
    import datasets

    config, hub_split = _fill(source.config, source, language), source.splits[split]
    local = Path(source.id).is_dir()
    try:
        if source.files:
            root = source.id if local else f"hf://datasets/{source.id}@{source.revision}"
            pattern = source.files.replace("{config}", config).replace("{split}", hub_split)
            return datasets.load_dataset("parquet", data_files={"rows": f"{root}/{pattern}"}, split="rows")
        revision = None if local else source.revision
        return datasets.load_dataset(source.id, config or None, revision=revision, split=hub_split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StiltsError(
            f"cannot load {source.id} (configuration {config or 'default'}, split {hub_split}, revision "
            f"{source.revision or 'none'}) for task {task.name}: {reason}; check the network, HF_TOKEN and "
            f"HF_HUB_OFFLINE, or give files as data.tasks.{task.name}"
        ) from error


def _fill(pattern: str | None, source: HubSource, language: str) -> str:
    return (pattern or "").replace("{lang}", source.names.get(language, language))


def _names(column: str) -> list[str]:
    return [name.split(".")[0] for name in column.split("+")]


def _values(data: Any, column: str) -> list[Any]:
    if "+" in column:
        return [list(row) for row in zip(*(data[name][:] for name in column.split("+")), strict=True)]
    name, _, part = column.partition(".")
    return [row[part] for row in data[name]] if part else data[name][:]


def _decided(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Without the pairs that have no majority label (SNLI's -1)."""
    keep = [i for i, label in enumerate(columns["label"]) if label >= 0]
    return {name: [values[i] for i in keep] for name, values in columns.items()}


def _whole(source: HubSource, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Without the pairs that lack a text (two of QQP's)."""
    pairs = list(zip(columns["text_a"], columns["text_b"], strict=True))
    keep = [i for i, (a, b) in enumerate(pairs) if a.strip() and b.strip()]
    tell_left_out(Path(source.id), len(pairs) - len(keep), len(pairs), "not two texts")
    return {name: [values[i] for i in keep] for name, values in columns.items()}


def _class_names(feature: Any) -> list[str] | None:
    feature = getattr(feature, "feature", feature)
    return getattr(feature, "names", None)


def _classification(columns: dict[str, Any], names: dict[str, Any], source: HubSource, task: Task) -> dict[str, Any]:
    return {
        "text_a": columns["text_a"],
        "text_b": columns["text_b"],
        "label": _labels(columns["label"], names["label"], source, task),
    }


def _labels(values: Iterable[Any], names: list[str] | None, source: HubSource, task: Task) -> list[int]:
    """Index into the task's labels: by the source's map, by the hub's own name of the class, or as it stands."""

    def index(value: Any) -> int:
        if source.labels is not None:
            return source.labels.get(value, -1)
        if value in (None, -1):
            return -1
        name = names[value] if names else str(value)
        if name in task.labels:
            return task.labels.index(name)
        if isinstance(value, int) and value < len(task.labels):
            return value
        raise StiltsError(f"{source.id}: label {name!r} is not one of {', '.join(task.labels)} of task {task.name}")

    return [index(value) for value in values]


def _multiple_choice(columns: dict[str, Any], names: dict[str, Any], source: HubSource, task: Task) -> dict[str, Any]:
    contexts = columns["text_a"]
    starts = columns.get("prefix") or [""] * len(contexts)
    if "question" in columns:
        contexts = [prompt(*pair) for pair in zip(contexts, columns["question"], strict=True)]
    return {
        "text_a": contexts,
        "choices": [continuations(start, ends) for start, ends in zip(starts, columns["choices"], strict=True)],
        "label": [_choice(label, source) for label in columns["label"]],
    }


def _choice(label: Any, source: HubSource) -> int:
    if label in ("", None):
        return -1
    return int(label) if source.labels is None else source.labels.get(label, -1)


def _tagging(columns: dict[str, Any], names: dict[str, Any], source: HubSource, task: Task) -> dict[str, Any]:
    classes = names["tags"]
    tags = [[classes[t] for t in row] for row in columns["tags"]] if classes else columns["tags"]
    return {"tokens": columns["tokens"], "tags": tags}


def _span_qa(columns: dict[str, Any], names: dict[str, Any], source: HubSource, task: Task) -> dict[str, Any]:
    answers = [
        [{"text": t, "start": s} for t, s in zip(row["text"], row["answer_start"], strict=True) if t]
        for row in columns["answers"]
    ]
    return {
        **{c: columns[c] for c in ("context", "question")},
        "answers": answers,
    }


def _mlm(columns: dict[str, Any], names: dict[str, Any], source: HubSource, task: Task) -> dict[str, Any]:
    return {"text": [text.strip() for text in columns["text"] if text.strip()]}


def _retrieval(columns: dict[str, Any], names: dict[str, Any], source: HubSource, task: Task) -> dict[str, Any]:
    foreign, english = ([text.rstrip("\n") for text in columns[side]] for side in ("foreign", "en"))
    order = sorted(range(len(english)), key=english.__getitem__)  # stable: equal sentences keep their order
    count = len(english)
    return {
        "side": ["foreign"] * count + ["en"] * count,
        "id": [str(i) for i in range(count)] * 2,
        "text": foreign + [english[i] for i in order],
        "gold": [[] for _ in foreign] + [[str(i)] for i in order],
    }


_CONVERT: dict[str, Callable[[dict[str, Any], dict[str, Any], HubSource, Task], dict[str, Any]]] = {
    "classification": _classification,
    "multiple_choice": _multiple_choice,
    "tagging": _tagging,
    "span_qa": _span_qa,
    "dual_encoder": _span_qa,
    "mlm": _mlm,
    "retrieval": _retrieval,
}
