"""The no-answer threshold of SQuAD 2.0, chosen where gold is known, as the official script chooses it."""

import math
from collections.abc import Mapping

import numpy as np

from stilts.tasks.base import get_task
from stilts.tasks.metrics import Facts
from stilts.tasks.score import main_metric


def best_null_threshold(
    task: str, language: str, answers: Mapping[str, tuple[str, float]], gold: Mapping[str, list[str]]
) -> dict[str, float]:
    """The threshold of the no-answer margin below which a question is answered.

    Every margin that occurs is tried, and the threshold that answers nothing; of equally good ones the lowest is taken.

    Args:
        answers: for each question, its best answer and by how much "no answer" outscores it (logits). Above the
            threshold the answer is empty.
        gold: accepted answers of each question, `[""]` for one without an answer.

    Returns:
        `null_threshold`, the best threshold for F1, and `tuned_f1`, the F1 that it reaches there in percent;
        `exact_match_threshold` and `tuned_exact_match`, the same for exact match (the official script tunes each
        metric by itself).
    """
    known = {id_: gold[id_] for id_ in answers}
    count, facts = main_metric(get_task(task)).count, Facts(language)
    given = count({id_: text for id_, (text, _) in answers.items()}, known, facts) * 100
    empty = count(dict.fromkeys(answers, ""), known, facts) * 100
    margins = np.array([margin for _, margin in answers.values()])
    found = {}
    for column, metric, name in ((1, "f1", "null_threshold"), (0, "exact_match", "exact_match_threshold")):
        threshold, gain = _best(margins, given[:, column] - empty[:, column])
        found[name] = threshold
        found[f"tuned_{metric}"] = (sum(empty[:, column].tolist()) + gain) / len(answers)
    return found


def _best(margins: np.ndarray, gains: np.ndarray) -> tuple[float, float]:
    """The threshold with the greatest sum of the gains at or below it, and that sum."""
    order = np.argsort(margins, kind="stable")
    order = order[np.isfinite(margins[order])]  # a question without an answer to give stays empty
    if not len(order):
        return 0.0, 0.0
    ends = np.append(np.flatnonzero(np.diff(margins[order])), len(order) - 1)  # questions of one margin go together
    sums = np.append(0.0, np.cumsum(gains[order])[ends])
    thresholds = np.append(math.nextafter(float(margins[order[0]]), -math.inf), margins[order][ends])
    best = int(np.argmax(sums))
    return float(thresholds[best]), float(sums[best])
