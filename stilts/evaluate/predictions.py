"""Prediction files, as XTREME's evaluate.py and its leaderboard take them.

| task | file | content |
|---|---|---|
| classification | .tsv | one label per line |
| tagging | .tsv | one tag per line, a blank line between sentences |
| semantic roles | .tsv | the same, a blank line between propositions |
| parsing | .tsv | `head TAB relation` of one word per line, a blank line between sentences |
| question answering | .json | `{id: answer}` |
| rankings | .json | `{id: [20 candidates, best first]}`: Mewsli-X's format; XTREME-R has none for LAReQA |
| multiple choice | .jsonl | `{"label": index}` per line |
| BUCC 2018 | .tsv | `foreign id TAB English id` per line |
| Tatoeba | .tsv | one line number of the foreign file, from 0, per line |

The formats are in `tasks/families/files.py`; each family chooses its own.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from stilts.tasks.base import get_task
from stilts.tasks.families import get_family
from stilts.tasks.families.files import PredictionFile, decode


def prediction_file(task_name: str) -> PredictionFile:
    """Return the format of a task's prediction files."""
    task = get_task(task_name)
    return get_family(task.family).file(task)


def suffix(task_name: str) -> str:
    """Return the ending of the task's prediction files: `tsv`, `json` or `jsonl`."""
    return prediction_file(task_name).suffix


def write_predictions(task_name: str, predictions: Any) -> bytes:
    """Return the content of a prediction file.

    Args:
        predictions: in the form that `tasks.score.score` takes. BUCC's pairs are sorted.

    Raises:
        ValueError: a sentence has no words, which the format of tagging cannot hold.
    """
    return prediction_file(task_name).write(predictions)


def read_predictions(task_name: str, data: bytes | Path, lenient: bool = False) -> Any:
    """Return what `write_predictions` wrote, in the form that `tasks.score.score` takes.

    Labels, choices and line numbers are text, BUCC's pairs a set.

    Args:
        lenient: also accept what evaluate.py scores although stilts never writes it: the tag O in UD-POS, and rankings
            without candidates or with one named twice.

    Raises:
        Problems: the file is damaged or holds something that is no prediction for the task, with file and line.
    """
    where = str(data) if isinstance(data, Path) else f"{task_name} predictions"
    text = decode(data.read_bytes() if isinstance(data, Path) else data, where)
    task = get_task(task_name)
    if lenient and task.answers == "tag runs":
        task = replace(task, labels=(*task.labels, "O"))
    return get_family(task.family).file(task).read(text, where, lenient)
