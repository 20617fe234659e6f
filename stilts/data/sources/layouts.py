"""XTREME's download folder: where each task's files lie, as XTREME's and XTREME-R's scripts leave them."""

from dataclasses import dataclass, field
from pathlib import Path

from stilts.tasks.base import Task
from stilts.tasks.families import get_family


@dataclass(frozen=True)
class Layout:
    """The paths of a task's files in the folder.

    Attributes:
        files: split -> path with `{lang}`. For retrieval it is the common beginning of the paths of both sides. The
            split `translated` is the English training set as XTREME's machine translates it, and `candidates` is what a
            ranking task searches.
        labels: path of the gold labels of the test files inside the labels folder.
    """

    files: dict[str, str] = field(default_factory=dict)
    labels: str | None = None


TRANSLATIONS = "xtreme_translations/{}/translate-train/"
"""The bucket of machine translations, downloaded into XTREME's folder under its own name."""
_XNLI = f"{TRANSLATIONS.format('XNLI')}en-{{lang}}-translated.tsv"
_PAWSX = f"{TRANSLATIONS.format('PAWSX')}en-{{lang}}-translated.tsv"
_SQUAD = f"{TRANSLATIONS.format('SQuAD')}squad.translate.train.en-{{lang}}.json"
_TYDIQA = f"{TRANSLATIONS.format('TyDiQA-GoldP')}tydiqa.translate.train.en-{{lang}}.json"


def _by_split(task: str, **others: str) -> Layout:
    files = {split: f"{task}/{split}-{{lang}}.tsv" for split in ("train", "dev", "test")}
    return Layout(files | others, f"{task}/test-{{lang}}.tsv")


LAYOUTS: dict[str, Layout] = {
    "xnli": _by_split("xnli", translated=_XNLI),
    "pawsx": _by_split("pawsx", translated=_PAWSX),
    "udpos": _by_split("udpos"),
    "panx": _by_split("panx"),
    "mnli": Layout({"train": "xnli/train-{lang}.tsv", "dev": "xnli/dev-{lang}.tsv", "translated": _XNLI}),
    "squad": Layout({"train": "squad/train-v1.1.json", "dev": "squad/dev-v1.1.json", "translated": _SQUAD}),
    "xquad": Layout({"test": "xquad/xquad.{lang}.json"}, "xquad/test-{lang}.json"),
    "mlqa": Layout(
        {split: f"mlqa/MLQA_V1/{split}/{split}-context-{{lang}}-question-{{lang}}.json" for split in ("dev", "test")},
        "mlqa/test-{lang}.json",
    ),
    "tydiqa": Layout(
        {
            "train": "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.{lang}.train.json",
            "test": "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{lang}.dev.json",
            "translated": _TYDIQA,
        },
        "tydiqa/test-{lang}.json",
    ),
    "bucc2018": Layout(
        {"dev": "bucc2018/{lang}-en.dev", "test": "bucc2018/{lang}-en.test"}, "bucc2018/test-{lang}.tsv"
    ),
    "squad_retrieval": Layout({"train": "squad/train-v1.1.json", "dev": "squad/dev-v1.1.json"}),
    "lareqa": Layout({"test": "lareqa/xquad-r/{lang}.json", "candidates": "lareqa/xquad-r/{lang}.json"}),
    "wikipedia_mentions": Layout(
        {"train": "mewslix/wikipedia_pairs-train.jsonl", "dev": "mewslix/wikipedia_pairs-dev.jsonl"}
    ),
    "mewslix": Layout(
        {
            "test": "mewslix/wikinews_mentions-test.jsonl",
            "candidates": "mewslix/candidate_set_entities.jsonl",
        },
        "mewslix/test-{lang}.json",
    ),
    "tatoeba": Layout({"test": "tatoeba/{lang}-en"}, "tatoeba/test-{lang}.tsv"),
    "siqa": Layout(
        {
            "train": "siqa/socialIQa_v1.4_trn.jsonl",
            "dev": "siqa/socialIQa_v1.4_dev.jsonl",
            "translated": "siqa_translate_train/socialIQa_v1.4_{lang}_translate_train.jsonl",
        }
    ),
    "copa": Layout(
        {
            "train": "xcopa/train-{lang}.jsonl",
            "dev": "xcopa/val-{lang}.jsonl",
            "translated": "xcopa_translate_train/xcopa_{lang}_translate_train.jsonl",
        }
    ),
    "xcopa": Layout({"dev": "xcopa/val-{lang}.jsonl", "test": "xcopa/test-{lang}.jsonl"}, "xcopa/test-{lang}.jsonl"),
}


def parts(task: Task, path: str, language: str) -> list[Path]:
    """Return the files that a declared path stands for, in one language."""
    return get_family(task.family).paths(path.replace("{lang}", language), language)
