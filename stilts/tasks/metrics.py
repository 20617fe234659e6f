"""Official scores: what XTREME's evaluate.py computes for one task in one language, to the last digit.

Every number is a percentage. Two rules surprise:

- **POS is scored by chunks, not by words.** evaluate.py feeds UPOS tags to seqeval's entity F1. The published figures
  come from seqeval <= 0.0.13, where a tag without a dash is its own type: a chunk is a maximal run of one tag inside a
  sentence, and tags that begin with S (SCONJ, SYM) are chunks of one word, as if they were BIOES singles. seqeval >= 1
  drops the first character of such tags and gives other figures.
- **MLQA's Arabic article** is removed wherever its two letters stand, inside words too: the alternative of MLQA's
  pattern that was meant to find it at the start of a word can never match.

Named entities do not depend on the version: on B-/I-/O tags, valid or not, all versions agree (an I- after O, or after
another type, begins an entity).
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from stilts.errors import StiltsError
from stilts.tasks.base import Task, get_task

Scores = dict[str, float]
Sentences = Sequence[Sequence[str]]
Trees = Sequence[Sequence[tuple[int, str]]]


def score(task: str, language: str, predictions: Any, gold: Any) -> Scores:
    """The scores of one task in one language, in percent, under evaluate.py's names.

    Args:
        task: name in the library; unknown ones raise StiltsError.
        language: only MLQA's normalisation depends on it.
        predictions: labels, one an example (classification, multiple choice, Tatoeba's line numbers; compared as
            text, so that 3 equals "3"); lists of tags, or of (head, relation), one a sentence; `{id: answer}`; for
            rankings `{id: [candidates, best first]}`; for BUCC, pairs of ids.
        gold: the same; for question answering `{id: [accepted answers]}`, for rankings `{id: [right candidates]}`. An
            id without a prediction scores 0.

    Returns:
        `accuracy`; `accuracy, f1`; `f1, precision, recall`; `las, uas`; `exact_match, f1`; or `map@20`.

    Raises:
        ValueError: there is nothing to score, or the two do not align.
    """
    if not gold:
        raise ValueError(f"{task}/{language}: no gold to score against")
    return _scorer(get_task(task), language)(predictions, gold)


def main_number(scores: Mapping[str, float]) -> float:
    """The one number of several: the mean of exact match (or accuracy) and F1 where both are there, else the F1, the
    accuracy, the labelled attachment score, or MAP@20. The same rule that evaluate.py has for a task's averages.
    """
    if "f1" in scores:
        partner = next((name for name in ("exact_match", "accuracy") if name in scores), None)
        return scores["f1"] if partner is None else (scores[partner] + scores["f1"]) / 2
    return next(scores[name] for name in ("accuracy", "las", "map@20") if name in scores)


def accuracy(predictions: Sequence[Any], gold: Sequence[Any]) -> Scores:
    """Share of equal entries, compared as text."""
    right = sum(str(p) == str(g) for p, g in zip(predictions, gold, strict=True))
    return {"accuracy": right / len(gold) * 100}


def accuracy_and_f1(predictions: Sequence[Any], gold: Sequence[Any], positive: str) -> Scores:
    """Accuracy, and the F1 of one label (GLUE's numbers for QQP)."""
    scores = accuracy(predictions, gold)
    found = {i for i, label in enumerate(predictions) if str(label) == positive}
    wanted = {i for i, label in enumerate(gold) if str(label) == positive}
    return {**scores, "f1": overlap(found, wanted)["f1"]}


def token_accuracy(predictions: Sentences, gold: Sentences) -> Scores:
    """Share of words with the right tag (CCG)."""
    _check_sentences(predictions, gold)
    return accuracy([tag for tags in predictions for tag in tags], [tag for tags in gold for tag in tags])


def attachment(predictions: Trees, gold: Trees) -> Scores:
    """Labelled and unlabelled attachment score: share of words with the right head and relation, and with the right
    head. Every word counts, punctuation too, as in the CoNLL 2018 shared task, whose F1 this is where words are given.
    """
    _check_sentences(predictions, gold)
    pairs = [pair for ours, theirs in zip(predictions, gold, strict=True) for pair in zip(ours, theirs, strict=True)]
    whole = sum(ours == theirs for ours, theirs in pairs)
    heads = sum(ours[0] == theirs[0] for ours, theirs in pairs)
    return {"las": whole / len(pairs) * 100, "uas": heads / len(pairs) * 100}


def overlap(predictions: Iterable[Hashable], gold: Iterable[Hashable]) -> Scores:
    """F1, precision and recall of one set against another; duplicates count once, empty sets score 0."""
    found, wanted = set(predictions), set(gold)
    right = len(found & wanted)
    if right == 0:
        return {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    precision, recall = right / len(found), right / len(wanted)
    return {
        "f1": 2 * precision * recall / (precision + recall) * 100,
        "precision": precision * 100,
        "recall": recall * 100,
    }


def chunk_f1(predictions: Sentences, gold: Sentences, chunks: Callable[[Sequence[str]], Iterator[Hashable]]) -> Scores:
    """Micro-averaged F1, precision and recall over the chunks of all sentences: type and both ends must agree."""
    _check_sentences(predictions, gold)
    found = ((i, chunk) for i, tags in enumerate(predictions) for chunk in chunks(tags))
    wanted = ((i, chunk) for i, tags in enumerate(gold) for chunk in chunks(tags))
    return overlap(found, wanted)


def entities(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """`(type, first word, last word)` of each entity in B-/I-/O tags."""
    start, kind = 0, ""
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, new = tag.partition("-")
        if kind and (prefix != "I" or new != kind):
            yield kind, start, i - 1
            kind = ""
        if new and not kind:
            start, kind = i, new


def arguments(tags: Sequence[str]) -> Iterator[tuple[str, tuple[tuple[int, int], ...]]]:
    """`(role, ((first word, last word), ...))` of each argument in a proposition's B-/I-/O tags.

    The rules of CoNLL-2005's script, which CoNLL-2012 uses too: the predicate (V) is no argument; a continuation (C-X)
    joins the nearest X before it, and both are right only together; a reference (R-X) is a role of its own. A C-X
    without an X before it is an argument of that name.
    """
    found: list[tuple[str, list[tuple[int, int]]]] = []
    for role, first, last in entities(tags):
        base = role.removeprefix("C-")
        earlier = next((spans for name, spans in reversed(found) if name == base), None)
        if role != base and earlier is not None:
            earlier.append((first, last))
        else:
            found.append((role, [(first, last)]))
    yield from ((role, tuple(spans)) for role, spans in found if role not in ("V", "C-V"))


def tag_runs(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """`(tag, first word, last word)` of each chunk in UPOS tags; see the module's first rule."""
    start = 0
    for tag, run in groupby(tags):
        end = start + len(list(run))
        if tag.startswith("S"):
            yield from ((tag, i, i) for i in range(start, end))
        else:
            yield tag, start, end - 1
        start = end


RANKS = 20
"""Ranks that XTREME-R's rankings are scored by."""


def mean_average_precision(
    predictions: Mapping[str, Sequence[str]], gold: Mapping[str, Sequence[str]], k: int = RANKS
) -> Scores:
    """MAP@k: for each query, the precision at the rank of each right candidate, summed and divided by as many as could
    be among the first k. With one right candidate it is the reciprocal rank. A candidate named twice counts once.
    """
    total = 0.0
    for id_, right in gold.items():
        hits = score = 0.0
        ranked = predictions.get(id_, [])[:k]
        for rank, candidate in enumerate(ranked):
            if candidate in right and candidate not in ranked[:rank]:
                hits += 1.0
                score += hits / (rank + 1.0)
        total += score / min(len(right), k) if right else 0.0
    return {f"map@{k}": total / len(gold) * 100}


def answer_scores(
    predictions: Mapping[str, str],
    gold: Mapping[str, Sequence[str]],
    normalise: Callable[[str], str],
    empty_f1: bool = False,
) -> Scores:
    """Exact match and F1 over bags of words, each the best over the accepted answers.

    Args:
        normalise: makes two answers comparable; words are what white space parts in its result.
        empty_f1: whether two answers without words have F1 1 (SQuAD 2.0, where they mean "no answer") instead of 0.
    """
    exact = f1 = 0.0
    for id_, accepted in gold.items():
        if id_ not in predictions:
            continue
        answer = normalise(predictions[id_])
        golds = [normalise(text) for text in accepted]
        exact += max(answer == text for text in golds)
        f1 += max(_bag_f1(answer.split(), text.split(), empty_f1) for text in golds)
    return {"exact_match": 100 * exact / len(gold), "f1": 100 * f1 / len(gold)}


def normalise_squad(text: str) -> str:
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
    U+4E00-9FA5 a word of its own in Chinese. Languages that MLQA does not have are parted by white space alone.
    """
    kept = "".join(char for char in text.lower() if not _is_punctuation(char))
    if language in _MLQA_ARTICLES:
        kept = re.sub(_MLQA_ARTICLES[language], " ", kept)
    if language == "zh":
        kept = re.sub("([\u4e00-\u9fa5])", r" \1 ", kept)
    return " ".join(kept.split())


def chunks_of(task: Task) -> Callable[[Sequence[str]], Iterator[Hashable]] | None:
    """What the task's sentences are scored by, of their tags; None where it is not scored by chunks."""
    if task.name == "udpos":
        return tag_runs
    if task.family == "srl":
        return arguments
    return entities if task.family == "tagging" and "accuracy" not in task.metrics else None


def _scorer(task: Task, language: str) -> Callable[[Any, Any], Scores]:
    chunks = chunks_of(task)
    if chunks is not None:
        return lambda p, g: chunk_f1(p, g, chunks)
    if task.name == "bucc2018":
        return overlap
    if task.name == "mlqa":
        return lambda p, g: answer_scores(p, g, lambda text: normalise_mlqa(text, language))
    return _family_scorer(task)


def _family_scorer(task: Task) -> Callable[[Any, Any], Scores]:
    """What a task's declaration asks for, so that a new task needs no line here."""
    if task.family == "mlm":
        raise StiltsError(f"{task.name} makes no predictions that could be scored")
    if task.family == "tagging":
        return token_accuracy
    if task.family == "parsing":
        return attachment
    if task.family == "dual_encoder":
        return mean_average_precision
    if task.family == "span_qa":
        return _squad_v2 if task.unanswerable else lambda p, g: answer_scores(p, g, normalise_squad)
    if task.family == "classification" and "f1" in task.metrics:
        return lambda p, g: accuracy_and_f1(p, g, positive=task.labels[1])
    return accuracy


def _squad_v2(predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]]) -> Scores:
    """SQuAD 2.0: a question without answers expects the empty answer; accepted answers without words do not count."""
    worded = {id_: [text for text in texts if normalise_squad(text)] or [""] for id_, texts in gold.items()}
    return answer_scores(predictions, worded, normalise_squad, empty_f1=True)


def _bag_f1(answer: list[str], gold: list[str], empty_f1: bool) -> float:
    if empty_f1 and not (answer and gold):
        return float(answer == gold)
    same = sum((Counter(answer) & Counter(gold)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(answer), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def _is_punctuation(char: str) -> bool:
    return char in string.punctuation or unicodedata.category(char).startswith("P")


def _check_sentences(predictions: Sequence[Sequence[Any]], gold: Sequence[Sequence[Any]]) -> None:
    for i, (ours, theirs) in enumerate(zip(predictions, gold, strict=True)):
        if len(ours) != len(theirs):
            raise ValueError(f"sentence {i + 1} has {len(ours)} predicted words and {len(theirs)} gold words")
