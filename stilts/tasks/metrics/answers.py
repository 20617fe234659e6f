"""Metrics of answers to questions: exact match and F1 over bags of words, each the best over the accepted answers.

MLQA's script removes the Arabic article wherever its two letters stand, inside words too: the alternative of its
pattern that was meant to find the article at the start of a word can never match. These scores reproduce that.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from stilts.tasks.metrics.base import Count, Counts, Facts, Metric, mean_of, register

Normalise = Callable[[str, str], str]
"""`normalise(text, language)` makes two answers comparable; words are what white space separates in its result."""


def normalise_squad(text: str, language: str = "en") -> str:
    """SQuAD's normalisation, which XQuAD and TyDiQA use in every language: lower case, ASCII punctuation and English
    articles removed. Languages written without spaces are not segmented.
    """
    kept = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


_MLQA_ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": "ال",
}


def normalise_mlqa(text: str, language: str) -> str:
    """MLQA's normalisation: lower case, Unicode and ASCII punctuation removed, articles by language, and each of
    U+4E00-9FA5 a word of its own in Chinese. Languages that MLQA does not have are split at white space alone.
    """
    kept = "".join(char for char in text.lower() if not _is_punctuation(char))
    if language in _MLQA_ARTICLES:
        kept = re.sub(_MLQA_ARTICLES[language], " ", kept)
    if language == "zh":
        kept = re.sub("([\u4e00-\u9fa5])", r" \1 ", kept)
    return " ".join(kept.split())


def _is_punctuation(char: str) -> bool:
    return char in string.punctuation or unicodedata.category(char).startswith("P")


def count_answers(normalise: Normalise, unanswerable: bool = False) -> Count:
    """A count of answers: exact match and F1 of each question, both from 0 to 1.

    Args:
        unanswerable: SQuAD 2.0's rules. A question without accepted answers expects the empty answer; accepted answers
            without words do not count; two answers without words have F1 1 instead of 0.
    """

    # Models of one experiment mostly agree on an answer, and then it is compared once.
    @lru_cache(maxsize=2**15)
    def compare(answer: str, accepted: tuple[str, ...], language: str) -> tuple[float, float]:
        answer = normalise(answer, language)
        golds = [normalise(text, language) for text in accepted]
        if unanswerable:
            golds = [text for text in golds if text] or [""]
        exact = float(max(answer == text for text in golds))
        return exact, max(_bag_f1(answer.split(), text.split(), unanswerable) for text in golds)

    def count(predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]], facts: Facts) -> Counts:
        """float64 [questions, 2]; 0 for a question without a prediction."""
        found = [
            compare(predictions[id_], tuple(accepted), facts.language) if id_ in predictions else (0.0, 0.0)
            for id_, accepted in gold.items()
        ]
        return np.array(found, np.float64).reshape(-1, 2)

    return count


def _bag_f1(answer: list[str], gold: list[str], empty_f1: bool) -> float:
    if empty_f1 and not (answer and gold):
        return float(answer == gold)
    same = sum((Counter(answer) & Counter(gold)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(answer), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def _register(of: str, count: Count) -> None:
    exact = Metric("exact_match", of, count, lambda sums, items: 100 * sums[..., 0] / items)
    f1 = Metric("f1", of, count, lambda sums, items: 100 * sums[..., 1] / items)
    register(exact, f1, mean_of(exact, f1))


_register("answers", count_answers(normalise_squad))
_register("answers or none", count_answers(normalise_squad, unanswerable=True))
_register("MLQA answers", count_answers(normalise_mlqa))
