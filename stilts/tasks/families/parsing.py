"""Dependency parsing: a head and a relation for each word of a sentence.

The vector of a word is the vector of its first subword; the vector of the root is learned. The relations are those of
Universal Dependencies without subtypes, `root` first. Decoding finds the best tree with exactly one word below the root
(`trees.py`). That word, and no other, has the relation `root`.

A sentence that is longer than the maximum length is split between words into several pieces. In training, words whose
head is in another piece have no loss; words below the root keep the root as their head. In evaluation, each piece is
decoded to its own tree. The top words of later pieces are attached to the top word of the first piece as `parataxis`,
the relation of Universal Dependencies for clauses placed side by side, so that the result is one tree of all words.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.errors import counted
from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths
from stilts.tasks.families.checks import first_problems, select
from stilts.tasks.families.files import PredictionFile, WordLines, known_label
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import Frame, features, list_lengths
from stilts.tasks.families.trees import best_tree, find_cycle
from stilts.tasks.families.words import NO_LABEL, Pieces, cut_sentences, is_labelled, word_labels

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Tree = list[tuple[int, str]]
"""(head, relation) of each word."""

ROOT = "root"
"""The first label of every parsing task."""
SIDE_BY_SIDE = "parataxis"


class Parsing(Family):
    """Dependency parsing. A prediction is a list of (head, relation), one per word.

    Further features, with one entry per word of the piece:

    - `positions` list<int32>: index of the first subword;
    - `heads` list<int32>: 0 for the root, otherwise the number of the head within the piece, from 1;
    - `labels` list<int32>: the relation.

    `heads` and `labels` are NO_LABEL if the head is unknown or in another piece.

    The head of the model returns float32 [words, words + 1, 2] per row: for each word and each possible head (the root
    first), the score of the arc and the index of its best relation.
    """

    name = "parsing"
    schema = schema.PARSING
    scored_as = ("arcs",)
    gold_column = "heads"
    features = ("positions", "heads", "labels")
    splits_examples = True
    takes_labels = True
    usual_metrics = ("las", "uas")
    usual_format = "conllu"
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("tokens",)}

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        return first_problems(_problems(table, set(task.labels)))

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        examples = np.arange(table.num_rows)
        if training:
            examples, table = select(table, self.has_gold(table))
        frame = Frame(tokenizer)
        room = frame.room(lengths.max_length)
        pieces = cut_sentences(table["tokens"], tokenizer, room, room)
        positions = pieces.positions
        heads = _local_heads(table, pieces)
        relations = pieces.of_words(word_labels(table, "relations", task.labels)).flat()
        columns = {
            **frame.columns(pieces.subwords),
            "positions": positions.like(positions.values + frame.prefix).arrow(),
            "heads": positions.like(heads).arrow(),
            "labels": positions.like(np.where(heads == NO_LABEL, NO_LABEL, relations)).arrow(),
        }
        return features(np.arange(len(pieces)), examples[pieces.sentence], columns)

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[Tree]:
        trees: list[Tree] = [[] for _ in range(table.num_rows)]
        for example, output in zip(features["example"].to_pylist(), outputs, strict=True):
            _join(trees[example], _decode(output, task))
        return trees

    def gold(self, table: pa.Table, task: Task) -> list[Tree] | None:
        if not is_labelled(table, "heads"):
            return None
        pairs = zip(table["heads"].to_pylist(), table["relations"].to_pylist(), strict=True)
        return [list(zip(heads, relations, strict=True)) for heads, relations in pairs]

    def file(self, task: Task) -> PredictionFile:
        """Return the format `head TAB relation` per word."""
        return WordLines(task.name, lambda line: _parse_arc(line, task), lambda arc: f"{arc[0]}\t{arc[1]}")


register(Parsing())


def _parse_arc(line: str, task: Task) -> tuple[int, str]:
    head, *relation = line.split("\t")
    if len(relation) != 1 or not head.isdecimal():
        raise ValueError(f"{line[:60]!r} is not a head and a relation parted by a tab")
    return int(head), known_label(relation[0], task)


def _local_heads(table: pa.Table, pieces: Pieces) -> np.ndarray:
    """The head of each word of all pieces, numbered within its piece from 1; 0 is the root, NO_LABEL is unknown."""
    counts = list_lengths(table["tokens"])
    known = np.repeat(list_lengths(table["heads"]) == counts, counts)
    heads = np.full(int(counts.sum()), NO_LABEL, np.int64)
    heads[known] = pc.list_flatten(table["heads"]).to_numpy()
    heads = pieces.of_words(heads).flat()
    local = heads - np.repeat(pieces.offsets, pieces.counts)
    inside = (heads > 0) & (local > 0) & (local <= np.repeat(pieces.counts, pieces.counts))
    return np.where(heads == 0, 0, np.where(inside, local, NO_LABEL))


def _decode(output: np.ndarray, task: Task) -> Tree:
    heads = best_tree(output[..., 0])
    best = output[np.arange(len(heads)), heads, 1].astype(int)
    return [
        (head, task.labels[label] if head else ROOT) for head, label in zip(heads.tolist(), best.tolist(), strict=True)
    ]


def _join(tree: Tree, piece: Tree) -> None:
    """Append the tree of the next piece of a sentence to `tree`, in place."""
    offset = len(tree)
    top = next((word for word, (head, _) in enumerate(tree, 1) if head == 0), 0)
    for head, relation in piece:
        if head:
            tree.append((head + offset, relation))
        else:
            tree.append((top, SIDE_BY_SIDE if top else ROOT))


def _problems(table: pa.Table, labels: set[str]) -> Iterator[str]:
    columns = (table[name].to_pylist() for name in ("tokens", "heads", "relations"))
    for row, (tokens, heads, relations) in enumerate(zip(*columns, strict=True)):
        if not tokens:
            yield f"row {row}: the sentence has no tokens"
        if len(heads) != len(relations) or (heads and len(heads) != len(tokens)):
            yield f"row {row}: {len(tokens)} tokens but {len(heads)} heads and {len(relations)} relations"
            continue
        for relation in sorted(set(relations) - labels):
            yield f"row {row}: relation {relation!r} is not one of {', '.join(sorted(labels))}"
        problem = _no_tree(heads, relations) if heads else None
        if problem:
            yield f"row {row}: {problem}"


def _no_tree(heads: list[int], relations: list[str]) -> str | None:
    """The reason why heads and relations are not a tree with one word below the root; None if they are."""
    outside = [head for head in heads if not 0 <= head <= len(heads)]
    if outside:
        return f"head {outside[0]} of a sentence of {counted(len(heads), 'word')}"
    if heads.count(0) != 1:
        return f"{heads.count(0)} words hang on the root, there must be one"
    if [relation == ROOT for relation in relations] != [head == 0 for head in heads]:
        return "the relation root belongs to the word that hangs on the root, and to no other"
    cycle = find_cycle(np.array([0, *heads]))
    return None if cycle is None else f"the heads of words {', '.join(map(str, sorted(cycle.tolist())))} form a circle"
