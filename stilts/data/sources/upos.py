"""Universal part-of-speech tags of treebanks in CoNLL-U, with the tokens of XTREME's UD-POS.

XTREME converts UD 2.5 with `conllu_to_conll.py` (github.com/coastalcph/ud-conversion-tools), which fuses the words of
a multiword token, and then with its `utils_preprocess.py`, which removes white space and zero-width non-joiners inside
tokens and leaves sentences of withheld words out. The readers here do the same, so that a release of UD can stand in
for XTREME's folder: `data.tasks.udpos.test: ud-treebanks-v2.5/*/{lang}_*-ud-test.conllu`.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources.conllu import EMPTY, Sentence, lacks, read_blocks
from stilts.data.sources.text import WITHHELD, Report, to_table
from stilts.tasks.base import Task, words
from stilts.tasks.schema import TAGGING

logger = logging.getLogger(__name__)

_PRECEDENCE = {
    "es": words("VERB AUX PRON ADP DET"),
    "fr": words("VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ"),
    "it": words("VERB AUX ADV PRON ADP DET INTJ"),
}
_PRECEDENCE_ELSEWHERE = words("VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT")
"""`conllu_to_conll.py`'s order of the tags from which a multiword token takes its own, by language."""

_REMOVED = str.maketrans("", "", " \u200c")
"""A space and the zero-width non-joiner (U+200C)."""


def read_upos(path: Path, task: Task, language: str) -> pa.Table:
    """Read the tokens of a treebank and their universal part-of-speech tags.

    A multiword token is one token. It has the tag of that one of its words which is nearest to the root of the tree; of
    several equally near words, the tag that comes first in the order of precedence. German `im` (`in` ADP, `dem` DET)
    is ADP.

    The table is empty if all words are withheld.

    Raises:
        Problems: missing columns and unknown tags, by line.
    """
    report = Report(path)
    columns: dict[str, list[Any]] = {name: [] for name in TAGGING.names}
    withheld = 0
    for names, sentence in read_blocks(path, report):
        if lacks(names, ("FORM", "UPOS"), sentence, report):
            break
        tags = sentence.column(names.index("UPOS"))
        gold = set(tags) != {EMPTY}
        for line, tag in zip(sentence.lines, tags, strict=True):
            if gold and task.labels and tag not in task.labels:
                report.add(line, f"UPOS {tag!r} is not one of {', '.join(task.labels)}")
        pairs = list(_fused(sentence, names, tags, language))
        tokens = [token for token, _ in pairs]
        if _withheld(tokens):
            withheld += 1
            continue
        columns["id"].append(sentence.id)
        columns["tokens"].append(tokens)
        columns["tags"].append([tag for _, tag in pairs] if gold else [])
    if not columns["id"] and not report.count and not withheld:
        report.add(1, "no sentence in it")
    report.close()
    if withheld:
        total = withheld + len(columns["id"])
        logger.warning("%s: %d of %d rows are left out: they have %s", path, withheld, total, WITHHELD)
    return to_table(path, columns, TAGGING)


def _fused(sentence: Sentence, names: Sequence[str], tags: Sequence[str], language: str) -> Iterator[tuple[str, str]]:
    """Yield (token, tag) of each token."""
    forms = sentence.column(names.index("FORM"))
    depths = _depths(sentence.column(names.index("HEAD"))) if "HEAD" in names else [0] * len(forms)
    order = _PRECEDENCE.get(language, _PRECEDENCE_ELSEWHERE)
    ranks = [order.index(tag) if tag in order else len(order) for tag in tags]
    spans = {first: (last, form) for first, last, form in sentence.fused}
    word = 0
    while word < len(forms):
        last, form = spans.get(word + 1, (word + 1, forms[word]))
        end = max(word + 1, min(last, len(forms)))
        head = min(range(word, end), key=lambda i: (depths[i], ranks[i]))
        yield form.translate(_REMOVED) or form, tags[head]
        word = end


def _depths(heads: Sequence[str]) -> list[int]:
    """Return each word's distance from the root of the tree; all 0 if the heads are no tree."""
    if not all(head.isdecimal() and int(head) <= len(heads) for head in heads):
        return [0] * len(heads)
    parents = [int(head) for head in heads]
    depths = []
    for word in range(1, len(heads) + 1):
        ancestor, depth = word, 0
        while ancestor and depth <= len(heads):  # a cycle would go on for ever
            ancestor, depth = parents[ancestor - 1], depth + 1
        depths.append(depth)
    return depths


def _withheld(tokens: Sequence[str]) -> bool:
    """Whether XTREME leaves a sentence out because of withheld words: all of its tokens, or all but one, are `_`."""
    empty = tokens.count(EMPTY)
    return empty > 0 and empty >= len(tokens) - 1
