"""Score a folder of predictions against a folder of labels, both laid out as evaluate.py's: `TASK/test-LG.SUFFIX`.

On complete folders the scores are evaluate.py's. It differs from evaluate.py in this:

- A part of a benchmark can be scored. Averages over tasks are then left out, and what is missing is named.
- Files that evaluate.py would score wrongly in silence are refused: sentences of other lengths, labels that the task
  does not have, blanked gold, a byte order mark. The other files are scored all the same.
- Blank lines at the end of a file are not counted, and a warning names the file where that changes the score.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from stilts.data.sources.lareqa import read_xquad_r, read_xquad_r_candidates
from stilts.errors import Problems, StiltsError, nearest
from stilts.evaluate.predictions import prediction_file, read_predictions, suffix
from stilts.tasks.averages import group_averages, task_average
from stilts.tasks.base import all_tasks, get_task
from stilts.tasks.benchmarks import Benchmark, get_benchmark
from stilts.tasks.families.dual_encoder import candidates_of, right_candidates
from stilts.tasks.families.files import decode
from stilts.tasks.score import Scores, score

logger = logging.getLogger(__name__)

FLAGS = ("complete", "partial", "missing_tasks", "problems")
"""The keys of a result that are neither a task nor an average."""

_UNLIKELY = 20
"""So many gold answers that are all the same cannot be chance: the file was blanked with a constant."""


def score_folder(predictions: Path, labels: Path, benchmark: str = "xtreme") -> dict[str, Any]:
    """Scores of every task that is in both folders.

    Returns:
        `{task: {"avg_METRIC": percent, ..., "avg_metric": main number, "languages": {LG: {METRIC: percent}},
        "missing_languages": [...] where some are not scored}, average: percent}` and the FLAGS. Averages over tasks
        (groups, `all_task` of XTREME, `ten_task_average` of XTREME-R) are there only where each of their tasks is
        scored in all of its languages. `complete` says whether the whole benchmark is; `partial` names the tasks that
        lack languages and how many they have, `missing_tasks` those without any score, `problems` what is wrong with
        files that are not scored.

    Raises:
        StiltsError: a folder is missing, or they have no task in common.
        Problems: no file can be scored; what is wrong with each.
    """
    definition = get_benchmark(benchmark)
    for folder in (predictions, labels):
        if not folder.is_dir():
            raise StiltsError(f"{folder}: no such folder")
    tasks: dict[str, Any] = {}
    problems: list[str] = []
    for task in _tasks_in_both(predictions, labels, definition):
        if scores := _score_task(task, predictions / task, labels / task, definition, problems):
            tasks[task] = scores
    if not tasks:
        raise Problems(problems)
    whole = {task: scores["avg_metric"] for task, scores in tasks.items() if "missing_languages" not in scores}
    return {**tasks, **group_averages(whole, definition), **_flags(tasks, definition, problems)}


def _flags(tasks: Mapping[str, Any], benchmark: Benchmark, problems: list[str]) -> dict[str, Any]:
    partial = {
        task: f"{len(scores['languages'])} of {len(benchmark.languages[task])} languages"
        for task, scores in tasks.items()
        if "missing_languages" in scores
    }
    missing = [task for task in benchmark.languages if task not in tasks]
    complete = not partial and not missing
    return {"complete": complete, "partial": partial, "missing_tasks": missing, "problems": problems}


@contextmanager
def _collect(problems: list[str]) -> Iterator[None]:
    """Note the problems of one part and go on with the others."""
    try:
        yield
    except Problems as found:
        problems += found.messages
    except OSError as error:
        problems.append(f"{error.filename}: cannot be read: {error.strerror}")


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


def _score_task(
    task: str, predictions: Path, labels: Path, benchmark: Benchmark, problems: list[str]
) -> dict[str, Any] | None:
    """The scores of one task, None where no language can be scored; what is wrong is added to `problems`."""
    languages: dict[str, Scores] = {}
    names = {language: f"test-{language}.{suffix(task)}" for language in benchmark.languages[task]}
    labelled = [language for language, name in names.items() if (labels / name).exists()]
    if not labelled:
        problems.append(
            f"{labels}: no label file of a language of {benchmark.name}, such as {next(iter(names.values()))}"
        )
        return None
    for language in labelled:
        with _collect(problems):
            languages[language] = _score_language(
                task, language, predictions / names[language], labels / names[language]
            )
    for path in sorted(set(predictions.iterdir()) - {predictions / names[language] for language in labelled}):
        logger.warning("%s: not scored, there is no label file for it", path)
    if not languages:
        return None
    scores: dict[str, Any] = {**task_average(task, languages, benchmark), "languages": languages}
    if missing := benchmark.missing(task, languages):
        logger.warning("%s: averaged without %s, which are not scored", task, ", ".join(missing))
        scores["missing_languages"] = missing
    return scores


def _score_language(task: str, language: str, predictions: Path, labels: Path) -> Scores:
    if not predictions.exists():
        raise Problems([f"{predictions}: missing, though {labels} is there"])
    problems: list[str] = []
    with _collect(problems):
        predicted = read_predictions(task, predictions, lenient=True)
    with _collect(problems):
        gold = _read_gold(task, labels)
    if problems:
        raise Problems(problems)
    if problem := prediction_file(task).misfit(predicted, gold, predictions, labels):
        raise Problems([problem])
    _warn(task, predicted, predictions, labels)
    return score(task, language, predicted, gold)


def _warn(task: str, predicted: Any, predictions: Path, labels: Path) -> None:
    """Say what evaluate.py scores in its own way, and what costs points though it is scored."""
    kind = get_task(task).scored_as[0]
    if kind in ("labels", "pairs") and suffix(task) == "tsv":
        for path in (predictions, labels):
            if count := _blank_lines_at_the_end(path):
                logger.warning(
                    "%s: %d blank lines at its end are not counted; evaluate.py counts each as %s",
                    path, count, "a wrong pair" if kind == "pairs" else "an example",
                )  # fmt: skip
    if kind == "tag runs" and (count := sum(tags.count("O") for tags in predicted)):
        have = "1 word has" if count == 1 else f"{count} words have"
        logger.warning("%s: %s the tag O, which is not a tag of %s; each is wrong", predictions, have, task)
    if kind == "rankings":
        empty = sum(not any(names) for names in predicted.values())
        doubled = sum(len(set(names)) < len(names) for names in predicted.values())
        if empty:
            logger.warning("%s: %d queries have no candidate and score 0", predictions, empty)
        if doubled:
            logger.warning("%s: %d queries name a candidate twice, which wastes a rank", predictions, doubled)


def _blank_lines_at_the_end(path: Path) -> int:
    lines = path.read_text(encoding="utf-8").split("\n")
    if not lines[-1]:  # the end of the last line
        lines.pop()
    return next((number for number, line in enumerate(reversed(lines)) if line.strip()), len(lines))


def _read_gold(task: str, path: Path) -> Any:
    text = decode(path.read_bytes(), str(path))
    if get_task(task).files == "xquad_r" and '"data"' in text:
        gold = _sentences_of_answers(path)
    else:
        gold = prediction_file(task).read_labels(text, str(path))
    if task == "mewslix":  # a mention has one entity; XTREME-R's script takes the first of the list
        gold = {id_: [names[0].strip()] for id_, names in gold.items()}
    if not gold:
        raise Problems([f"{path}: holds no labels"])
    # Answers to different questions may be the same; the entities of all mentions and the labels of all rows may not.
    answers = gold.values() if task == "mewslix" else gold
    if not isinstance(answers, dict) and (constant := _constant(answers)) is not None:
        raise Problems([f"{path}: every label is {constant!r}; this is a blanked test file, give the labels"])
    return gold


def _constant(gold: Iterable[Any]) -> Any:
    """The one answer of a file of many examples; None where there are several answers or few examples."""
    examples = [set(answer) if isinstance(answer, list) else {answer} for answer in gold]
    answers = set().union(*examples)
    return next(iter(answers)) if len(answers) == 1 and len(examples) >= _UNLIKELY else None


def _sentences_of_answers(path: Path) -> dict[str, list[str]]:
    """Return the right candidates by query from XQuAD-R's own file; those of a query are in the files of all languages
    beside it."""
    right = _right_sentences(tuple(sorted(path.parent.glob("test-*.json"))))
    return {id_: right[id_] for id_ in read_xquad_r([path], get_task("lareqa"), "")["id"].to_pylist()}


@lru_cache(maxsize=1)
def _right_sentences(paths: tuple[Path, ...]) -> dict[str, list[str]]:
    """The candidates of each question, over XQuAD-R's files `test-LG.json`."""
    files = {path.stem.removeprefix("test-"): path for path in paths}
    return right_candidates(candidates_of(read_xquad_r_candidates(files, get_task("lareqa"))))
