"""Score a folder of predictions against a folder of labels, both laid out as evaluate.py's: `TASK/test-LG.SUFFIX`.

Where it differs from evaluate.py: a part of a benchmark can be scored (averages are over the languages that have a
label file; what is missing is named), and files that evaluate.py would score wrongly without a word are refused:
sentences of other lengths, labels that are none, blanked gold, a byte order mark. All problems of all files are
reported at once.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from stilts.data.sources.lareqa import read_xquad_r, read_xquad_r_candidates
from stilts.errors import Problems, StiltsError, nearest
from stilts.evaluate.candidates import Pool
from stilts.evaluate.predictions import decode, parse_json, read_predictions, suffix
from stilts.tasks.base import all_tasks, get_task
from stilts.tasks.benchmarks import Benchmark, get_benchmark, group_averages, task_average
from stilts.tasks.metrics import Scores, score

logger = logging.getLogger(__name__)


def score_folder(predictions: Path, labels: Path, benchmark: str = "xtreme") -> dict[str, Any]:
    """Scores of every task that is in both folders.

    Returns:
        `{task: {"avg_METRIC": percent, ..., "avg_metric": main number, "languages": {LG: {METRIC: percent}},
        "missing_languages": [...] where some have no label file}, group: percent}`; groups, `all_task` (XTREME) and
        `ten_task_average` (XTREME-R) only where all of their tasks are there.

    Raises:
        StiltsError: a folder is missing, or they have no task in common.
        Problems: files that are missing, damaged or do not fit each other, each with its line.
    """
    definition = get_benchmark(benchmark)
    for folder in (predictions, labels):
        if not folder.is_dir():
            raise StiltsError(f"{folder}: no such folder")
    tasks: dict[str, Any] = {}
    problems: list[str] = []
    for task in _tasks_in_both(predictions, labels, definition):
        with _collect(problems):
            tasks[task] = _score_task(task, predictions / task, labels / task, definition)
    if problems:
        raise Problems(problems)
    return {**tasks, **group_averages({task: scores["avg_metric"] for task, scores in tasks.items()}, definition)}


@contextmanager
def _collect(problems: list[str]) -> Iterator[None]:
    """Note the problems of one part and go on, so that all parts report theirs."""
    try:
        yield
    except Problems as found:
        problems += found.messages


def _tasks_in_both(predictions: Path, labels: Path, benchmark: Benchmark) -> list[str]:
    theirs = sorted(folder.name for folder in predictions.iterdir() if folder.is_dir())
    for name in theirs:
        if name not in benchmark.languages:
            logger.warning(
                "%s: no task of %s, ignored; %s", predictions / name, benchmark.name, nearest(name, benchmark.languages)
            )
        elif not (labels / name).is_dir():
            logger.warning("%s: not scored, there are no labels in %s", predictions / name, labels / name)
        elif name not in all_tasks():
            logger.warning("%s: not scored, stilts has no task %s", predictions / name, name)
    tasks = [t for t in benchmark.languages if t in theirs and t in all_tasks() and (labels / t).is_dir()]
    if not tasks:
        raise StiltsError(
            f"{predictions} and {labels} have no task of {benchmark.name} in common; both should hold folders like "
            f"{next(iter(benchmark.languages))}/ with files test-LG.tsv"
        )
    return tasks


def _score_task(task: str, predictions: Path, labels: Path, benchmark: Benchmark) -> dict[str, Any]:
    languages: dict[str, Scores] = {}
    problems: list[str] = []
    names = {language: f"test-{language}.{suffix(task)}" for language in benchmark.languages[task]}
    labelled = [language for language, name in names.items() if (labels / name).exists()]
    if not labelled:
        raise Problems(
            [f"{labels}: no label file of a language of {benchmark.name}, such as {next(iter(names.values()))}"]
        )
    for language in labelled:
        with _collect(problems):
            languages[language] = _score_language(
                task, language, predictions / names[language], labels / names[language]
            )
    if problems:
        raise Problems(problems)
    for path in sorted(set(predictions.iterdir()) - {predictions / names[language] for language in labelled}):
        logger.warning("%s: not scored, there is no label file for it", path)
    scores: dict[str, Any] = {**task_average(task, languages, benchmark), "languages": languages}
    if missing := benchmark.missing(task, labelled):
        logger.warning("%s: averaged without %s, which have no label file", task, ", ".join(missing))
        scores["missing_languages"] = missing
    return scores


def _score_language(task: str, language: str, predictions: Path, labels: Path) -> Scores:
    if not predictions.exists():
        raise Problems([f"{predictions}: missing, though {labels} is there"])
    problems: list[str] = []
    with _collect(problems):
        predicted = read_predictions(task, predictions)
    with _collect(problems):
        gold = _read_gold(task, labels)
    if problems:
        raise Problems(problems)
    if problem := _misfit(task, predicted, gold, predictions, labels):
        raise Problems([problem])
    return score(task, language, predicted, gold)


def _read_gold(task: str, path: Path) -> Any:
    read = {"span_qa": _read_squad, "dual_encoder": _read_rankings}.get(get_task(task).family)
    gold = read_predictions(task, path) if read is None else read(path)
    if task == "mewslix":  # a mention has one entity; XTREME-R's script takes the first of the list
        gold = {id_: [names[0].strip()] for id_, names in gold.items()}
    if not gold:
        raise Problems([f"{path}: holds no labels"])
    return gold


def _read_rankings(path: Path) -> dict[str, list[str]]:
    """Right candidates by query: `{id: [candidates]}`, or XQuAD-R's own file, whose right candidates are in the files
    of all languages beside it."""
    if '"data"' not in decode(path.read_bytes(), str(path)):
        return read_predictions("lareqa", path)  # all rankings have one form
    right = _right_sentences(tuple(sorted(path.parent.glob("test-*.json"))))
    return {id_: right[id_] for id_ in read_xquad_r([path], get_task("lareqa"), "")["id"].to_pylist()}


@lru_cache(maxsize=1)
def _right_sentences(paths: tuple[Path, ...]) -> dict[str, list[str]]:
    """The candidates of each question, over XQuAD-R's files `test-LG.json`."""
    files = {path.stem.removeprefix("test-"): path for path in paths}
    return Pool(read_xquad_r_candidates(files, get_task("lareqa"))).right()


def _read_squad(path: Path) -> dict[str, list[str]]:
    """Accepted answers by question id, from SQuAD's JSON."""
    document = parse_json(decode(path.read_bytes(), str(path)), str(path))
    try:
        questions = [
            (question["id"], [answer["text"] for answer in question["answers"]])
            for article in (document["data"] if isinstance(document, dict) else document)
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (KeyError, TypeError):
        raise Problems([f"{path}: not in SQuAD's format (data > paragraphs > qas > id, answers > text)"]) from None
    gold = dict(questions)
    if len(gold) < len(questions):
        raise Problems([f"{path}: {len(questions) - len(gold)} question ids are there more than once"])
    if not all(gold.values()) or not any(text for texts in gold.values() for text in texts):
        raise Problems([f"{path}: answers are missing or blank; XTREME's own test files have none, give the labels"])
    return gold


def _misfit(task: str, predicted: Any, gold: Any, predictions: Path, labels: Path) -> str | None:
    """Why predictions and gold, each sound in itself, cannot be scored together."""
    family = get_task(task).family
    if family in ("span_qa", "dual_encoder"):
        return _misfit_answers(predicted, gold, predictions, labels)
    if family == "tagging":
        return _misfit_sentences(predicted, gold, predictions, labels)
    if task != "bucc2018" and len(predicted) != len(gold):
        return f"{predictions}: {len(predicted)} lines, but {labels} has {len(gold)}"
    return None


def _misfit_answers(predicted: dict[str, str], gold: dict[str, Any], predictions: Path, labels: Path) -> str | None:
    missing = gold.keys() - predicted.keys()
    if len(missing) == len(gold):
        return f"{predictions}: answers none of the questions of {labels}; is it of another language or task?"
    if missing:
        logger.warning("%s: %d of %d questions have no answer and score 0", predictions, len(missing), len(gold))
    return None


def _misfit_sentences(predicted: list[list[str]], gold: list[list[str]], predictions: Path, labels: Path) -> str | None:
    line = 1
    for i, (ours, theirs) in enumerate(zip(predicted, gold, strict=False), start=1):
        if len(ours) != len(theirs):
            return f"{predictions}:{line}: sentence {i} has {len(ours)} tags, but {len(theirs)} in {labels}"
        line += len(ours) + 1
    if len(predicted) != len(gold):
        return f"{predictions}: {len(predicted)} sentences, but {labels} has {len(gold)}"
    return None
