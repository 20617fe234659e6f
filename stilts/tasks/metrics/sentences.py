"""Metrics of sentences: one answer per word (tagging, semantic roles, dependency trees).

UD-POS is scored by chunks, not by words: XTREME's evaluate.py gives UPOS tags to seqeval's entity F1. The published
figures come from seqeval <= 0.0.13, where a tag without a dash is a type of its own. A chunk is a maximal run of one
tag inside a sentence, and each word with a tag that begins with S (SCONJ, SYM) is a chunk of its own, as a single of
the BIOES scheme. seqeval >= 1 drops the first character of such tags and yields other figures (70.3981 instead of
70.2175 on XTREME's mock data).

Named entities do not depend on the version: on B-/I-/O tags, valid or not, all versions agree (an I- after O, or after
another type, begins an entity).
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import groupby
from operator import eq
from typing import Any

import numpy as np

from stilts.tasks.metrics.base import (
    Count,
    Counts,
    Facts,
    Metric,
    check_number,
    f1_score,
    mean_of,
    overlap_metrics,
    register,
    whole,
)

Sentences = Sequence[Sequence[str]]
Trees = Sequence[Sequence[tuple[int, str]]]
Chunks = Callable[[Sequence[str]], Iterator[Hashable]]
"""The chunks of one sentence's tags."""


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

    The rules are those of CoNLL-2005's script, which CoNLL-2012 uses too: the predicate (V) is no argument; a
    continuation (C-X) joins the nearest X before it, and both are right only together; a reference (R-X) is a role of
    its own. A C-X without an X before it is an argument of that name.
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
    """`(tag, first word, last word)` of each chunk in UPOS tags, by the rule of seqeval <= 0.0.13.

    The tag O, which XTREME's own tagger can emit, is no chunk.
    """
    start = 0
    for tag, run in groupby(tags):
        end = start + len(list(run))
        if tag.startswith("S"):
            yield from ((tag, i, i) for i in range(start, end))
        elif tag != "O":
            yield tag, start, end - 1
        start = end


def count_chunks(chunks: Chunks) -> Count:
    """A count of chunks: right, predicted and gold ones. A chunk is right if its type and both of its ends agree."""

    def count(predictions: Sentences, gold: Sentences, facts: Facts) -> Counts:
        """uint16 [sentences, 3]"""
        check_words(predictions, gold)
        pairs = ((set(chunks(ours)), set(chunks(right))) for ours, right in zip(predictions, gold, strict=True))
        return whole(((len(ours & right), len(ours), len(right)) for ours, right in pairs), 3)

    return count


def count_words(predictions: Sentences, gold: Sentences, facts: Facts) -> Counts:
    """uint16 [sentences, 2]: right words, words."""
    check_words(predictions, gold)
    return whole(((sum(map(eq, ours, right)), len(right)) for ours, right in zip(predictions, gold, strict=True)), 2)


def count_arcs(predictions: Trees, gold: Trees, facts: Facts) -> Counts:
    """uint16 [sentences, 3]: words with the right head and relation, words with the right head, words."""
    check_words(predictions, gold)
    sentences = (list(zip(ours, right, strict=True)) for ours, right in zip(predictions, gold, strict=True))
    return whole(
        ((sum(p == g for p, g in words), sum(p[0] == g[0] for p, g in words), len(words)) for words in sentences), 3
    )


def count_frames(predictions: Sentences, gold: Sentences, facts: Facts) -> Counts:
    """uint16 [texts, 5]: right label of the text, right label and tags; right, predicted and gold spans of tags.

    The first entry of each text is its label, the others are the tags of its words.
    """
    check_words(predictions, gold)
    rows = []
    for ours, right in zip(predictions, gold, strict=True):
        found, wanted = set(entities(ours[1:])), set(entities(right[1:]))
        rows.append((ours[0] == right[0], ours == right, len(found & wanted), len(found), len(wanted)))
    return whole(rows, 5)


_SLOT_F1 = Metric("slot_f1", "frames", count_frames, lambda sums, items: f1_score(*np.moveaxis(sums[..., 2:], -1, 0)))
_INTENTS = Metric("intent_accuracy", "frames", count_frames, lambda sums, items: sums[..., 0] / items * 100)


def check_words(predictions: Sequence[Sequence[Any]], gold: Sequence[Sequence[Any]]) -> None:
    """Raise ValueError unless every sentence has one prediction for each of its words."""
    check_number(predictions, gold)
    for i, (ours, right) in enumerate(zip(predictions, gold, strict=True), start=1):
        if len(ours) != len(right):
            raise ValueError(f"sentence {i} has {len(ours)} predicted words and {len(right)} gold words")


register(
    _SLOT_F1,
    _INTENTS,
    mean_of(_SLOT_F1, _INTENTS),
    # A text is right if its label and all of its tags are ("fully correct" of xSID's script).
    Metric("exact_match", "frames", count_frames, lambda sums, items: sums[..., 1] / items * 100),
    Metric("accuracy", "words", count_words, lambda sums, items: sums[..., 0] / sums[..., 1] * 100),
    *overlap_metrics("entities", count_chunks(entities)),
    *overlap_metrics("tag runs", count_chunks(tag_runs)),
    *overlap_metrics("arguments", count_chunks(arguments)),
    # Every word counts, punctuation too, as in the CoNLL 2018 shared task, whose F1 this is where words are given.
    Metric("las", "arcs", count_arcs, lambda sums, items: sums[..., 0] / sums[..., 2] * 100),
    Metric("uas", "arcs", count_arcs, lambda sums, items: sums[..., 1] / sums[..., 2] * 100),
)
