"""Write the YAML of an experiment on a folder of data, with comments, for a person to edit.

It recognises XTREME's download folder, and files of four kinds by their content: one word and its tag per line, pairs
of texts with a label, questions in SQuAD's JSON, and raw text. Language and split are taken from the names of files and
folders: `de/train.tsv`, `dev-en.tsv`, `sw.txt`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import mode

from stilts.data.prepare import Catalog
from stilts.data.sources.layouts import LAYOUTS
from stilts.errors import StiltsError
from stilts.experiment.data import DataDecl
from stilts.experiment.load import to_yaml
from stilts.tasks.base import all_tasks, get_task
from stilts.tasks.benchmarks import get_benchmark

MODEL = ("xlmr-base", "FacebookAI/xlm-roberta-base", "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089")
SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("dev", "val", "valid", "validation"), "dev"),
    "test": "test",
}
INTERMEDIATES = ("mnli", "squad", "siqa", "copa")
"""English tasks of XTREME's folder that serve as intermediates."""
MOST_FILES = 5000
MOST_NOTES = 20
_KINDS = (
    "It reads XTREME's download folder; files of one word, a tab and its tag per line; two texts and a label, "
    "separated by tabs; SQuAD's JSON; and raw text (.txt). Names tell the split and the language: train-en.tsv, "
    "de/test.tsv."
)
_LINES = 200
_HEAD = 200_000

_PAIRS = {"xnli": frozenset({"entailment", "neutral", "contradiction"}), "pawsx": frozenset({"0", "1"})}
_TAGS = ("panx", "udpos")
_TARGETS = {"panx": "panx", "udpos": "udpos", "xnli": "xnli", "pawsx": "pawsx", "xquad": "squad"}
"""Targets of own files, and the task of their training set."""


@dataclass
class Draft:
    """What a folder holds, in terms of an experiment.

    Attributes:
        data: the section `data`.
        targets: settings by target.
        intermediates: regimes besides `none`.
        splits: evaluated splits.
        selection: `last` where a target has no dev set.
        notes: files that are not used with the reason, and data that comes from the hub.
    """

    data: dict[str, object] = field(default_factory=dict)
    targets: dict[str, dict[str, object]] = field(default_factory=dict)
    intermediates: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=lambda: ["test"])
    selection: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    """A file that was recognised: its task, its split and language, and its path with `{lang}` for the language."""

    task: str
    split: str
    language: str
    pattern: str


def draft_experiment(folder: Path | None, name: str) -> tuple[str, list[str]]:
    """Write the YAML of an experiment on the data of a folder; without a folder, on data sets of the hub.

    Returns:
        the YAML, and notes for the user: files that are not used with the reason, and data that comes from the hub. The
        YAML has the first notes as comments, too.

    Raises:
        StiltsError: the folder does not exist, or holds nothing that can be used; the message says what was found.
    """
    if folder is None:
        return _yaml(Draft(targets={"xnli": {}}, intermediates=["mnli"]), name), []
    if not folder.is_dir():
        raise StiltsError(f"{folder} is not a folder")
    draft = _xtreme(folder) or _own(folder)
    if not draft.targets:
        found = "".join(f"\n  - {note}" for note in draft.notes) or " no files of a kind that stilts reads"
        raise StiltsError(f"{folder}: no data for a target was found:{found}\n{_KINDS}")
    return _yaml(draft, name), draft.notes


# --- XTREME's folder


def _xtreme(folder: Path) -> Draft | None:
    root = next((f for f in (folder, folder / "xtreme") if any((f / name).is_dir() for name in LAYOUTS)), None)
    if root is None:
        return None
    labels = next((f for f in (root / "labels", root.parent / "labels") if f.is_dir()), None)
    declared = DataDecl(xtreme=str(root), labels=str(labels) if labels else None)
    draft, catalog = Draft(declared.model_dump(exclude_defaults=True)), Catalog(declared, root)
    for name in dict.fromkeys((*get_benchmark("xtreme").languages, *get_benchmark("xtreme-r").languages)):
        task = all_tasks().get(name)
        if task is None or not _there(root, name, "test"):
            continue
        trained = task.train_on
        if trained is not None and not catalog.has(get_task(trained), "train", "en"):
            draft.notes.append(f"not used: {name}: there is no training set ({trained} in English)")
            continue
        draft.targets[name] = {}
    draft.intermediates = [task for task in INTERMEDIATES if _there(root, task, "train") and _there(root, task, "dev")]
    return draft if draft.targets else None


def _there(root: Path, task: str, split: str) -> bool:
    """Whether XTREME's folder has a file of the task, in any language."""
    pattern = LAYOUTS[task].files.get(split) if task in LAYOUTS else None
    return pattern is not None and any(root.glob(pattern.replace("{lang}", "*") + ("*" if task == "tatoeba" else "")))


# --- own files


def _own(folder: Path) -> Draft:
    draft = Draft()
    files = list(_recognised(folder, draft.notes))
    for task in dict.fromkeys(file.task for file in files):
        sources: dict[str, str] = {}
        for file in (f for f in files if f.task == task):
            sources.setdefault(file.split, file.pattern)
        draft.data.setdefault("tasks", {})[task] = sources  # type: ignore[index]
    for target, trained in _TARGETS.items():
        _add_target(draft, [f for f in files if f.task in (target, trained)], target, trained)
    if any(file.task == "mlm" for file in files):
        draft.intermediates = ["mlm"]
        if not draft.targets:
            draft.targets["xnli"] = {}
            draft.notes.append("there is only raw text, so the target is XNLI, from the hub")
    return draft


def _add_target(draft: Draft, files: list[_File], target: str, trained: str) -> None:
    by_split = {split: {f.language for f in files if f.split == split} for split in ("train", "dev", "test")}
    if not files:
        return
    if by_split["train"] and "en" not in by_split["train"]:
        draft.targets[target] = {"setting": "in-language", "languages": sorted(by_split["train"])}
    else:
        draft.targets[target] = {}
    if not by_split["train"]:
        draft.notes.append(f"{target}: the folder has no training set, so that of {trained} comes from the hub")
    if by_split["train"] and not by_split["dev"]:
        draft.selection = "last"
    if by_split["dev"] and not by_split["test"]:
        draft.splits = ["dev"]


def _recognised(folder: Path, notes: list[str]) -> Iterator[_File]:
    languages = {language for task in all_tasks().values() for language in task.all_languages}
    paths = (p for p in sorted(folder.rglob("*")) if p.is_file() and not any(s.startswith(".") for s in p.parts))
    for path in islice(paths, MOST_FILES):
        relative = path.relative_to(folder)
        words = list(re.finditer(r"[A-Za-z]+", str(relative.with_suffix(""))))
        split = next((SPLITS[w.group().lower()] for w in reversed(words) if w.group().lower() in SPLITS), None)
        spoken = next((w for w in reversed(words) if w.group() in languages), None)
        pattern = str(path)
        if spoken is not None:
            text = str(relative)
            pattern = str(folder / f"{text[: spoken.start()]}{{lang}}{text[spoken.end() :]}")
        task, problem = _task_of(path, split)
        language = spoken.group() if spoken is not None else "en"
        if task is not None and language not in get_task(task).all_languages:
            problem = f"stilts knows no language {language} of {task}"
        if problem is not None:
            notes.append(f"not used: {relative}: {problem}")
        elif task == "mlm":
            yield _File(task, "train", language, pattern)
        elif task is not None and split is not None:
            yield _File(task, split, language, pattern)


def _task_of(path: Path, split: str | None) -> tuple[str | None, str | None]:
    """The task whose format a file has, or why it cannot be used; neither for a file of another kind."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        head = file.read(_HEAD)
    if path.suffix == ".json":
        questions = '"qas"' in head and '"paragraphs"' in head
        return (("xquad" if split == "test" else "squad") if questions else None), None
    if path.suffix == ".csv":
        return None, "commas separate its columns; write it with tabs"
    complete = head if len(head) < _HEAD else head[: head.rfind("\n") + 1]
    lines = complete.rstrip("\n").split("\n")[:_LINES]
    rows = [line.split("\t") for line in lines if line.strip()]
    if not rows:
        return None, None
    columns = {len(row) for row in rows}
    if columns == {1} and path.suffix == ".txt" and split in (None, "train"):
        return "mlm", None
    if columns == {2} and any(not line.strip() for line in lines):
        return _fitting(_tags_by_task(), {row[1] for row in rows}, "tags")
    if columns == {3}:
        header = {"label", "gold_label"} & set(rows[0])
        return _fitting(_PAIRS, {row[2] for row in rows[1 if header else 0 :]} - {"-"}, "labels")
    return None, _misshapen(lines) if split is not None and "\t" in complete else None


def _misshapen(lines: list[str]) -> str:
    """Say why lines with tabs are neither tags nor pairs."""
    columns = {number: line.count("\t") + 1 for number, line in enumerate(lines, 1) if line.strip()}
    usual = mode(columns.values())
    odd = next((number for number, count in columns.items() if count != usual), None)
    if odd is not None:
        return f"line {odd} has {columns[odd]} column(s), but most lines have {usual}"
    if usual == 2:
        return "no blank line separates its sentences"
    return f"it has {usual} columns; files of tags have 2, and files of pairs have 3"


def _tags_by_task() -> dict[str, frozenset[str]]:
    return {name: frozenset(get_task(name).labels) for name in _TAGS}


def _fitting(tasks: Mapping[str, frozenset[str]], labels: set[str], what: str) -> tuple[str | None, str | None]:
    task = next((name for name, known in tasks.items() if labels <= known), None)
    if task is not None:
        return task, None
    known = "; ".join(f"{name}: {' '.join(sorted(found))}" for name, found in tasks.items())
    return None, f"its {what} ({' '.join(sorted(labels)[:8])}) are those of no task ({known})"


# --- the file


def _yaml(draft: Draft, name: str) -> str:
    model, hub, revision = MODEL
    targets = "\n".join(f"  {target}: {_inline(settings)}" for target, settings in draft.targets.items())
    notes = [f"# Note: {note}" for note in draft.notes[:MOST_NOTES]]
    if len(draft.notes) > len(notes):
        notes.append(f"# ... and {len(draft.notes) - len(notes)} more notes")
    recipe = (
        "recipe: {selection: last} # there is no dev set to choose the best weights by"
        if draft.selection
        else ("# recipe: {epochs: 3, learning_rate: 2e-5} # for every stage; by default, each task has its own")
    )
    lines = [
        "# An experiment, written by `stilts init`. `stilts plan FILE` says what it costs and starts nothing;",
        "# `stilts fields` describes every field, `stilts fields recipe.warmup` one of them.",
        *notes,
        f"name: {name}",
        "seeds: [1, 2, 3] # five or more show smaller differences",
        "models:",
        "  # Other encoders: any of the hub at a pinned revision, or `path:` of a local checkpoint.",
        f"  {model}: {{hub: {hub}, revision: {revision}}}",
        "# Trained before the target. `none` is the baseline, to which the others are compared.",
        f"intermediates: [{', '.join(['none', *draft.intermediates])}]",
        "targets:",
        targets,
        f"splits: [{', '.join(draft.splits)}]",
        "languages: present # those whose files exist" if draft.data else "languages: all",
        recipe,
    ]
    if draft.data:
        lines += ["# {lang} stands for the language.", to_yaml({"data": draft.data}).rstrip()]
    lines += [
        "runtime:",
        "  accelerator: auto # gpu, cpu",
        "  keep: intermediate # weights that stay in the store: none, all",
    ]
    return "\n".join(lines) + "\n"


def _inline(settings: Mapping[str, object]) -> str:
    parts = (f"{k}: {'[' + ', '.join(v) + ']' if isinstance(v, list) else v}" for k, v in settings.items())
    return "{" + ", ".join(parts) + "}"
