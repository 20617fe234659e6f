"""Prediction files, as XTREME's evaluate.py and its leaderboard take them.

| task | file | content |
|---|---|---|
| classification | .tsv | one label a line |
| tagging | .tsv | one tag a line, a blank line between sentences |
| srl | .tsv | the same, a blank line between propositions |
| parsing | .tsv | `head TAB relation` of each word a line, a blank line between sentences |
| question answering | .json | `{id: answer}` |
| rankings | .json | `{id: [20 candidates, best first]}`; Mewsli-X's, and XTREME-R has none for LAReQA |
| multiple choice | .jsonl | `{"label": index}` a line |
| BUCC 2018 | .tsv | `foreign id TAB English id` a line |
| Tatoeba | .tsv | one line number of the foreign file, from 0, a line |

Reading is strict, because evaluate.py scores most damaged files without a word: an empty line, a mangled tag or a byte
order mark costs points silently. Line ends may be CRLF, and blank lines at the end are ignored.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from stilts.errors import Problems
from stilts.tasks.base import Task, get_task

BY_WORD = ("tagging", "parsing", "srl")
"""Families that answer each word of a sentence, a line a word."""

SHOWN = 5
"""Problems reported of one file."""

_SUFFIXES = {"span_qa": "json", "multiple_choice": "jsonl", "dual_encoder": "json"}


def suffix(task_name: str) -> str:
    """Ending of the task's prediction files: `tsv`, `json` or `jsonl`."""
    return _SUFFIXES.get(get_task(task_name).family, "tsv")


def write_predictions(task_name: str, predictions: Any) -> bytes:
    """The content of a prediction file.

    Args:
        predictions: as `metrics.score` takes them. BUCC's pairs are written in sorted order.

    Raises:
        ValueError: a sentence without words, which the tagging format cannot hold.
    """
    family = get_task(task_name).family
    if family == "span_qa":
        return (json.dumps(dict(predictions), ensure_ascii=False, indent=1) + "\n").encode()
    if family == "dual_encoder":
        lines = (f"{json.dumps(id_)}: {json.dumps(list(names))}" for id_, names in predictions.items())
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    if family == "multiple_choice":
        return _lines(json.dumps({"label": int(choice)}) for choice in predictions)
    if family in BY_WORD:
        if not all(predictions):
            raise ValueError(f"{task_name}: a sentence without words")
        word = "{0[0]}\t{0[1]}\n" if family == "parsing" else "{0}\n"
        return "\n".join("".join(word.format(answer) for answer in answers) for answers in predictions).encode()
    if task_name == "bucc2018":
        return _lines(f"{foreign}\t{english}" for foreign, english in sorted(predictions))
    return _lines(str(label) for label in predictions)


def read_predictions(task_name: str, data: bytes | Path, lenient: bool = False) -> Any:
    """What `write_predictions` wrote, in the form that `metrics.score` takes: labels, choices and line numbers as
    text, BUCC's pairs as a set.

    Args:
        lenient: also take what evaluate.py scores although stilts never writes it: the tag O in UD-POS, and rankings
            without candidates or with one named twice.

    Raises:
        Problems: the file is damaged, or holds what is no prediction for the task; with file and line.
    """
    where = str(data) if isinstance(data, Path) else f"{task_name} predictions"
    text = decode(data.read_bytes() if isinstance(data, Path) else data, where)
    task = get_task(task_name)
    if task.family == "span_qa":
        return _read_answers(text, where)
    if task.family == "dual_encoder":
        return _read_rankings(text, where, lenient)
    if lenient and task.answers == "tag runs":
        task = replace(task, labels=(*task.labels, "O"))
    parse = _line_parser(task)
    if task.family in BY_WORD:
        return _read_sentences(text, where, parse)
    values = _parse_lines(_split(text), where, parse)
    return set(values) if task_name == "bucc2018" else values


def decode(data: bytes, where: str) -> str:
    """Text of a file.

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
    """The JSON document.

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


def shorten(problems: list[str], where: str) -> list[str]:
    """The first few problems of a file, and how many more there are."""
    if len(problems) <= SHOWN:
        return problems
    return [*problems[:SHOWN], f"{where}: and {len(problems) - SHOWN} more like these"]


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _split(text: str) -> list[str]:
    """Lines without their ends (only LF and CRLF end a line) and without blank ones at the end of the file."""
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _parse_lines(lines: list[str], where: str, parse: Callable[[str], Any]) -> list[Any]:
    """Parse each line; `parse` raises ValueError with what is wrong."""
    values, problems = [], []
    for number, line in enumerate(lines, start=1):
        try:
            values.append(parse(line))
        except ValueError as error:
            problems.append(f"{where}:{number}: {error}")
    if problems:
        raise Problems(shorten(problems, where))
    return values


def _line_parser(task: Task) -> Callable[[str], Any]:
    if task.family == "multiple_choice":
        return _choice
    if task.family == "parsing":
        return lambda line: _arc(line, task)
    if task.name == "bucc2018":
        return _pair
    if task.family == "retrieval":
        return _number
    return lambda line: _known(line, task)


def _known(label: str, task: Task) -> str:
    if "\t" in label:
        raise ValueError(f"{label[:60]!r} has several columns; write the label alone")
    if task.labels and label not in task.labels:
        what = f"{label[:60]!r} is" if label else "an empty line is"
        valid = ", ".join(task.labels[:20]) + (" ..." if len(task.labels) > 20 else "")
        raise ValueError(f"{what} none of {task.name}'s labels ({valid})")
    return label


def _arc(line: str, task: Task) -> tuple[int, str]:
    head, *relation = line.split("\t")
    if len(relation) != 1 or not head.isdecimal():
        raise ValueError(f"{line[:60]!r} is not a head and a relation parted by a tab")
    return int(head), _known(relation[0], task)


def _number(line: str) -> str:
    if not line.isdecimal():
        raise ValueError(f"{line!r} is not a line number")
    return line


def _pair(line: str) -> tuple[str, str]:
    foreign, *english = line.split("\t")
    if len(english) != 1 or not foreign or not english[0]:
        raise ValueError(f"{line!r} is not two ids parted by a tab")
    if foreign.startswith("en-") and not english[0].startswith("en-"):
        raise ValueError(f"{line!r} has the English id first; evaluate.py wants the foreign one first")
    return foreign, english[0]


def _choice(line: str) -> str:
    try:
        label = json.loads(line)["label"]
    except (ValueError, TypeError, KeyError):
        raise ValueError(f'{line[:60]!r} is not a JSON object with a "label"') from None
    if not isinstance(label, int) or isinstance(label, bool) or label < 0:
        raise ValueError(f"label {label!r} is not the index of a choice")
    return str(label)


def _read_sentences(text: str, where: str, parse: Callable[[str], Any]) -> list[list[Any]]:
    """Blocks of lines; `parse` raises ValueError with what is wrong."""
    lines = _split(text)
    sentences: list[list[Any]] = [[]] if lines else []
    problems = []
    for number, line in enumerate(lines, start=1):
        if line:
            try:
                sentences[-1].append(parse(line))
            except ValueError as error:
                problems.append(f"{where}:{number}: {error}")
        elif sentences[-1]:
            sentences.append([])
        else:
            problems.append(f"{where}:{number}: a blank line more than one between sentences; remove it")
    if problems:
        raise Problems(shorten(problems, where))
    return sentences


def _read_rankings(text: str, where: str, lenient: bool) -> dict[str, list[str]]:
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


def _read_answers(text: str, where: str) -> dict[str, str]:
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
