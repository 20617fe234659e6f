"""Formats of prediction files, as XTREME's evaluate.py and its leaderboard take them.

Reading is strict. evaluate.py scores most damaged files without a warning: an empty line, a misspelt tag or a byte
order mark silently costs points. Line ends may be CRLF, and blank lines at the end are ignored.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.errors import Problems, counted
from stilts.tasks.base import Task

logger = logging.getLogger(__name__)

SHOWN = 5
"""The maximum number of problems that are reported for one file."""


class PredictionFile:
    """One format of prediction files.

    `Predictions` below are of the form that `tasks.score.score` takes.

    Attributes:
        suffix: ending of the file's name: `tsv`, `json` or `jsonl`.
    """

    suffix: str = "tsv"

    def write(self, predictions: Any) -> bytes:
        """Return the content of a file.

        Raises:
            ValueError: the format cannot hold these predictions.
        """
        raise NotImplementedError

    def read(self, text: str, where: str, lenient: bool = False) -> Any:
        """Return the predictions that `write` wrote. Labels, choices and line numbers are text.

        Args:
            where: name of the file for messages.
            lenient: also accept what evaluate.py scores although stilts never writes it.

        Raises:
            Problems: the file is damaged or holds something that is no prediction for the task.
        """
        raise NotImplementedError

    def read_labels(self, text: str, where: str) -> Any:
        """Return the gold of a label file. By default it has the format of a prediction file.

        Raises:
            Problems: the file is damaged.
        """
        return self.read(text, where)

    def misfit(self, predicted: Any, gold: Any, predictions: Path, labels: Path) -> str | None:
        """Return why predictions and gold that are both well-formed cannot be scored together, or None."""
        if len(predicted) != len(gold):
            return f"{predictions}: {len(predicted)} lines, but {labels} has {len(gold)}"
        return None

    def problems(self, predictions: Any, examples: pa.Table) -> list[str]:
        """Return what is wrong with well-formed predictions for these canonical examples."""
        return check_count("lines", len(predictions), len(examples))


@dataclass(frozen=True)
class Lines(PredictionFile):
    """One prediction per line.

    Attributes:
        parse: reads a line, or raises ValueError with what is wrong with it.
        show: writes a prediction as a line.
    """

    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str
    suffix: str = "tsv"

    def write(self, predictions: Any) -> bytes:
        return "".join(f"{self.show(prediction)}\n" for prediction in predictions).encode()

    def read(self, text: str, where: str, lenient: bool = False) -> Any:
        values, problems = [], []
        for number, line in enumerate(_split(text), start=1):
            try:
                values.append(self.parse(line))
            except ValueError as error:
                problems.append(f"{where}:{number}: {error}")
        if problems:
            raise Problems(shorten(problems, where))
        return values


@dataclass(frozen=True)
class WordLines(PredictionFile):
    """One word per line, with a blank line between sentences.

    Attributes:
        task: the name of the task, for messages.
        parse, show: as in `Lines`, for one word.
    """

    task: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str

    def write(self, predictions: Any) -> bytes:
        if not all(predictions):
            raise ValueError(f"{self.task}: a sentence without words")
        return "\n".join("".join(f"{self.show(word)}\n" for word in words) for words in predictions).encode()

    def read(self, text: str, where: str, lenient: bool = False) -> list[list[Any]]:
        lines = _split(text)
        sentences: list[list[Any]] = [[]] if lines else []
        problems = []
        for number, line in enumerate(lines, start=1):
            if line:
                try:
                    sentences[-1].append(self.parse(line))
                except ValueError as error:
                    problems.append(f"{where}:{number}: {error}")
            elif sentences[-1]:
                sentences.append([])
            else:
                problems.append(f"{where}:{number}: a blank line more than one between sentences; remove it")
        if problems:
            raise Problems(shorten(problems, where))
        return sentences

    def misfit(self, predicted: Any, gold: Any, predictions: Path, labels: Path) -> str | None:
        line = 1
        for i, (ours, theirs) in enumerate(zip(predicted, gold, strict=False), start=1):
            if len(ours) != len(theirs):
                return (
                    f"{predictions}:{line}: sentence {i} has {counted(len(ours), 'tag')}, but {len(theirs)} in {labels}"
                )
            line += len(ours) + 1
        if len(predicted) != len(gold):
            return f"{predictions}: {len(predicted)} sentences, but {labels} has {len(gold)}"
        return None

    def problems(self, predictions: Any, examples: pa.Table) -> list[str]:
        if wrong := check_count("sentences", len(predictions), len(examples)):
            return wrong
        words = pc.list_value_length(examples["tokens"]).to_pylist()
        pairs = zip(predictions, words, strict=True)
        unlike = [(i, len(tags), n) for i, (tags, n) in enumerate(pairs, start=1) if len(tags) != n]
        return [f"sentence {i} has {counted(tags, 'tag')} for {counted(n, 'word')}" for i, tags, n in unlike[:1]]


class ById(PredictionFile):
    """A JSON object with one entry per question."""

    suffix = "json"

    def misfit(self, predicted: Any, gold: Any, predictions: Path, labels: Path) -> str | None:
        missing = gold.keys() - predicted.keys()
        if len(missing) == len(gold):
            return f"{predictions}: answers none of the questions of {labels}; is it of another language or task?"
        if missing:
            logger.warning("%s: %d of %d questions have no answer and score 0", predictions, len(missing), len(gold))
        return None

    def problems(self, predictions: Any, examples: pa.Table) -> list[str]:
        found, expected = set(predictions), set(examples["id"].to_pylist())
        lacking, foreign = sorted(expected - found), sorted(found - expected)
        return [
            *([f"{len(lacking)} questions have no answer, first {lacking[0]}"] if lacking else []),
            *([f"{len(foreign)} ids are no questions, first {foreign[0]}"] if foreign else []),
        ]


class Answers(ById):
    """`{id: answer}`. Label files are SQuAD's JSON."""

    def write(self, predictions: Mapping[str, str]) -> bytes:
        return (json.dumps(dict(predictions), ensure_ascii=False, indent=1) + "\n").encode()

    def read(self, text: str, where: str, lenient: bool = False) -> dict[str, str]:
        answers = parse_json(text, where)
        if not isinstance(answers, dict):
            raise Problems([f"{where}: holds a {type(answers).__name__}, not an object {{id: answer}}"])
        if "data" in answers and "version" in answers:
            raise Problems([f"{where}: a SQuAD file, not predictions; those are one object {{id: answer}}"])
        wrong = [
            f"{where}: the answer to {key!r} is {repr(value)[:60]}, not text"
            for key, value in answers.items()
            if not isinstance(value, str)
        ]
        if wrong:
            raise Problems(shorten(wrong, where))
        return answers

    def read_labels(self, text: str, where: str) -> dict[str, list[str]]:
        """Return the accepted answers by question id."""
        document = parse_json(text, where)
        try:
            questions = [
                (question["id"], [answer["text"] for answer in question["answers"]])
                for article in (document["data"] if isinstance(document, dict) else document)
                for paragraph in article["paragraphs"]
                for question in paragraph["qas"]
            ]
        except (KeyError, TypeError):
            raise Problems([f"{where}: not in SQuAD's format (data > paragraphs > qas > id, answers > text)"]) from None
        gold = dict(questions)
        if len(gold) < len(questions):
            raise Problems([f"{where}: {len(questions) - len(gold)} question ids are there more than once"])
        if not all(gold.values()) or not any(text for texts in gold.values() for text in texts):
            raise Problems(
                [f"{where}: answers are missing or blank; XTREME's own test files have none, give the labels"]
            )
        blank = [key for key, texts in questions if not any(text.strip() for text in texts)]
        if blank:
            raise Problems([f"{where}: {len(blank)} of {len(questions)} answers are blank, first that of {blank[0]!r}"])
        return gold


class Rankings(ById):
    """`{id: [candidates, best first]}`: the format of Mewsli-X; XTREME-R defines none for LAReQA."""

    def write(self, predictions: Mapping[str, Sequence[str]]) -> bytes:
        lines = (f"{json.dumps(id_)}: {json.dumps(list(names))}" for id_, names in predictions.items())
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()

    def read(self, text: str, where: str, lenient: bool = False) -> dict[str, list[str]]:
        rankings = parse_json(text, where)
        if not isinstance(rankings, dict):
            raise Problems([f"{where}: holds a {type(rankings).__name__}, not an object {{id: [candidates]}}"])
        problems = []
        for key, names in rankings.items():
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                problems.append(f"{where}: what {key!r} has, {repr(names)[:60]}, is no list of candidates' ids")
            elif lenient:
                continue
            elif not names or not all(names):
                problems.append(f"{where}: what {key!r} has, {repr(names)[:60]}, is no list of candidates' ids")
            elif len(set(names)) < len(names):
                twice = next(name for place, name in enumerate(names) if name in names[:place])
                problems.append(f"{where}: {key!r} names {twice!r} twice, and a rank is lost")
        if problems:
            raise Problems(shorten(problems, where))
        return rankings


def known_label(label: str, task: Task) -> str:
    """Return a label that was read from a file.

    Raises:
        ValueError: it is none of the task's labels.
    """
    if "\t" in label:
        raise ValueError(f"{label[:60]!r} has several columns; write the label alone")
    if task.labels and label not in task.labels:
        what = f"{label[:60]!r} is" if label else "an empty line is"
        valid = ", ".join(task.labels[:20]) + (" ..." if len(task.labels) > 20 else "")
        raise ValueError(f"{what} none of {task.name}'s labels ({valid})")
    return label


def check_count(what: str, found: int, expected: int) -> list[str]:
    """Return a problem if the number of predictions is not that of the examples."""
    return [] if found == expected else [f"{found} {what} for {expected} examples"]


def decode(data: bytes, where: str) -> str:
    """Return the text of a file.

    Raises:
        Problems: it is not UTF-8, starts with a byte order mark, or holds a NUL.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        raise Problems([f"{where}:1: starts with a byte order mark, which evaluate.py reads as text; remove it"])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Problems(
            [f"{where}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"]
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise Problems([f"{where}:{line}: holds a NUL character; the file is damaged or not UTF-8"])
    return text


def parse_json(text: str, where: str) -> Any:
    """Return the JSON document.

    Raises:
        Problems: it is malformed, or an object names one key twice.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise Problems([f"{where}: {key!r} is there twice; keep one"])
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise Problems([f"{where}:{error.lineno}: not JSON: {error.msg} (column {error.colno})"]) from None


def shorten(problems: Sequence[str], where: str) -> list[str]:
    """Return the first few problems of a file, and how many more there are."""
    if len(problems) <= SHOWN:
        return list(problems)
    return [*problems[:SHOWN], f"{where}: and {len(problems) - SHOWN} more like these"]


def _split(text: str) -> list[str]:
    """Return the lines without their ends (LF or CRLF) and without blank ones at the end of the file."""
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines
