"""The no-answer threshold of SQuAD 2.0. It is tuned on data with gold answers, as in the official script."""

import math
from collections.abc import Mapping

import numpy as np

from stilts.tasks.base import get_task
from stilts.tasks.metrics import Facts
from stilts.tasks.score import main_metric


def best_null_threshold(
    task: str, language: str, answers: Mapping[str, tuple[str, float]], gold: Mapping[str, list[str]]
) -> dict[str, float]:
    """Choose the no-answer threshold: a question is answered if its no-answer margin is at or below the threshold.

    The candidates are all margins that occur, and a threshold below all of them, with which no question is answered. If
    several are equally good, the lowest is chosen.

    Args:
        answers: for each question, its best answer, and the margin by which the logit of "no answer" exceeds that of
            the answer.
        gold: the accepted answers of each question, `[""]` for a question without an answer.

    Returns:
        `null_threshold`, the best threshold for F1, and `tuned_f1`, the F1 in percent with this threshold;
        `exact_match_threshold` and `tuned_exact_match` likewise. As in the official script, each metric has a threshold
        of its own.
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
    """The threshold that maximises the sum of the gains of questions with a margin at or below it, and that sum."""
    order = np.argsort(margins, kind="stable")
    order = order[np.isfinite(margins[order])]  # an infinite margin: the model has no answer to give
    if not len(order):
        return 0.0, 0.0
    ends = np.append(np.flatnonzero(np.diff(margins[order])), len(order) - 1)  # equal margins cannot be separated
    sums = np.append(0.0, np.cumsum(gains[order])[ends])
    thresholds = np.append(math.nextafter(float(margins[order[0]]), -math.inf), margins[order][ends])
    best = int(np.argmax(sums))
    return float(thresholds[best]), float(sums[best])
