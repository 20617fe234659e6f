"""The no-answer threshold of SQuAD 2.0, chosen where gold is known, as the official script chooses it."""

import math
from collections.abc import Mapping

import numpy as np

from stilts.tasks.metrics import Scores, score


def best_null_threshold(
    task: str, language: str, answers: Mapping[str, tuple[str, float]], gold: Mapping[str, list[str]]
) -> dict[str, float]:
    """The margin up to which it pays to answer.

    Every margin that occurs is tried, from "never answer" upwards; of equally good ones the lowest is taken.

    Args:
        answers: by question, its best answer and by how much "no answer" outscores it (logits); above the threshold
            the answer is empty.
        gold: accepted answers by question, `[""]` for one without an answer.

    Returns:
        `null_threshold`, best for F1, and `tuned_f1` that it reaches there; `exact_match_threshold` and
        `tuned_exact_match`, the same for exact match (the official script tunes each by itself).
    """
    given = {id_: _scores(task, language, text, gold[id_]) for id_, (text, _) in answers.items()}
    empty = {id_: _scores(task, language, "", gold[id_]) for id_ in answers}
    margins = np.array([margin for _, margin in answers.values()])
    found = {}
    for metric, name in (("f1", "null_threshold"), ("exact_match", "exact_match_threshold")):
        gains = np.array([given[id_][metric] - empty[id_][metric] for id_ in answers])
        threshold, gain = _best(margins, gains)
        found[name] = threshold
        found[f"tuned_{metric}"] = (sum(scores[metric] for scores in empty.values()) + gain) / len(answers)
    return found


def _scores(task: str, language: str, text: str, accepted: list[str]) -> Scores:
    return score(task, language, {"": text}, {"": accepted})


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
