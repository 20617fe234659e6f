"""Nearest neighbours by cosine, and bitext mining with a ratio margin.

The method is that of Artetxe & Schwenk 2019 (arXiv:1811.01136), as XTREME uses it for Tatoeba and BUCC 2018. Sentence
vectors are rows of float32 matrices and need not be normalised. The search is exact and works block by block; at BUCC's
sizes an approximate index is not faster. Tensors are searched on their device, numpy arrays on the CPU.

Ties are broken in favour of the lower row.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Matrix: TypeAlias = "NDArray[np.float32] | torch.Tensor"
Candidate = tuple[float, int, int]
"""`(margin score, source row, target row)`."""

BLOCK = 8192
"""Rows of one block of the similarity matrix: 256 MiB of float32 at a time."""


def nearest(queries: Matrix, corpus: Matrix) -> NDArray[np.int64]:
    """For each query, the row of the corpus with the highest cosine, int64 [queries].

    For Tatoeba the queries are the English sentences and the corpus is the foreign side.
    """
    import torch

    device = _device(queries, corpus)
    x, y = _unit(queries, device), _unit(corpus, device)
    best = torch.full((len(x),), -torch.inf, device=device)
    rows = torch.zeros(len(x), dtype=torch.int64, device=device)
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            cosine, row = (x[i : i + BLOCK] @ y[j : j + BLOCK].T).max(dim=1)
            better = cosine > best[i : i + BLOCK]
            best[i : i + BLOCK][better] = cosine[better]
            rows[i : i + BLOCK][better] = row[better] + j
    return rows.cpu().numpy()


def rank(queries: Matrix, corpus: Matrix, k: int) -> NDArray[np.int64]:
    """For each query, the k rows of the corpus with the highest cosines, best first: int64 [queries, k].

    A corpus of fewer than k rows is returned whole.
    """
    device = _device(queries, corpus)
    x, y = _unit(queries, device), _unit(corpus, device)
    best = _Top(len(x), min(k, len(y)), device)
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            best.add(x[i : i + BLOCK] @ y[j : j + BLOCK].T, i, j)
    return best.arrays()[1]


def mine(source: Matrix, target: Matrix, k: int = 4) -> list[Candidate]:
    """Mine translation pairs, in descending order of their margin; each row is in at most one pair.

    The margin of x and y is cos(x, y) divided by the average of two means: the mean of x's k highest cosines with the
    targets, and the mean of y's k highest cosines with the sources. Each row of both sides proposes its neighbour (of
    k) with the highest margin. Proposals are accepted greedily in descending order of margin. Pairs whose margin is not
    positive are left out.

    Args:
        source, target: one row per distinct sentence (see `distinct`).
    """
    forward, forward_rows, backward, backward_rows = _neighbours(source, target, k)
    forward_mean, backward_mean = forward.mean(axis=1), backward.mean(axis=1)
    forward_margin = _ratio(forward, (forward_mean[:, None] + backward_mean[forward_rows]) / 2)
    backward_margin = _ratio(backward, (backward_mean[:, None] + forward_mean[backward_rows]) / 2)
    scores = np.concatenate([forward_margin.max(axis=1), backward_margin.max(axis=1)])
    sources = np.concatenate([np.arange(len(source)), _best(backward_margin, backward_rows)])
    targets = np.concatenate([_best(forward_margin, forward_rows), np.arange(len(target))])

    pairs: list[Candidate] = []
    taken_sources: set[int] = set()
    taken_targets: set[int] = set()
    for place in np.lexsort((targets, sources, -scores)):
        i, j = int(sources[place]), int(targets[place])
        if scores[place] <= 0:
            break
        if i not in taken_sources and j not in taken_targets:
            taken_sources.add(i)
            taken_targets.add(j)
            pairs.append((float(scores[place]), i, j))
    return pairs


def best_threshold(
    candidates: Iterable[tuple[float, Hashable, Hashable]], gold: Iterable[tuple[Hashable, Hashable]]
) -> tuple[float, float]:
    """Find the threshold on the score that maximises F1 against the gold pairs.

    Candidates with a score at or above the threshold are accepted. The threshold lies midway between the lowest
    accepted score and the next lower score; if all candidates are accepted, it is the lowest score. If several
    thresholds have the same F1, the highest is returned; if no candidate is right, 0.

    Returns:
        The threshold, and its F1 in percent.
    """
    ranked = sorted(candidates, key=lambda candidate: -candidate[0])
    wanted = set(gold)
    threshold = best = 0.0
    right = 0
    for taken, (score, source, target) in enumerate(ranked, start=1):
        right += (source, target) in wanted
        lower = ranked[taken][0] if taken < len(ranked) else None
        if lower == score:
            continue  # no threshold lies between equal scores
        f1 = 200 * right / (taken + len(wanted))
        if f1 > best:
            best, threshold = f1, score if lower is None else (score + lower) / 2
    return threshold, best


def distinct(texts: Sequence[str]) -> tuple[list[int], set[int]]:
    """Select the rows to mine from texts in which sentences repeat.

    With duplicates, a pair would be ambiguous. XTREME therefore mines distinct sentences, and then drops the pairs of
    sentences that occur more than once.

    Returns:
        The row of the first occurrence of each distinct sentence, and the subset of these rows whose sentence occurs
        again.
    """
    first: dict[str, int] = {}
    repeated = set()
    for row, text in enumerate(texts):
        seen = first.setdefault(text.strip(), row)
        if seen != row:
            repeated.add(seen)
    return list(first.values()), repeated


def mine_sentences(
    source: Matrix, target: Matrix, source_texts: Sequence[str], target_texts: Sequence[str], k: int = 4
) -> list[Candidate]:
    """`mine` for texts that may repeat: pairs of rows of the texts, without the pairs of repeated sentences."""
    source_rows, source_repeated = distinct(source_texts)
    target_rows, target_repeated = distinct(target_texts)
    pairs = mine(source[source_rows], target[target_rows], k)
    rows = [(score, source_rows[i], target_rows[j]) for score, i, j in pairs]
    return [(score, i, j) for score, i, j in rows if i not in source_repeated and j not in target_repeated]


def _best(margin: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row, the neighbour with the highest margin; of several such neighbours, the lowest row."""
    tied = margin == margin.max(axis=1, keepdims=True)
    return np.where(tied, rows, np.iinfo(np.int64).max).min(axis=1)


def _ratio(cosine: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.divide(cosine, mean, out=np.zeros_like(cosine), where=mean > 0)


def _neighbours(
    left: Matrix, right: Matrix, k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """The k nearest neighbours of each left row among the right rows and the reverse: cosines and rows of both.

    Each block of the similarity matrix is computed once and searched along both axes.
    """
    device = _device(left, right)
    x, y = _unit(left, device), _unit(right, device)
    forward, backward = _Top(len(x), min(k, len(y)), device), _Top(len(y), min(k, len(x)), device)
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            block = x[i : i + BLOCK] @ y[j : j + BLOCK].T
            forward.add(block, i, j)
            backward.add(block.T, j, i)
    return (*forward.arrays(), *backward.arrays())


def _device(left: Matrix, right: Matrix) -> "torch.device":
    import torch

    if not len(left) or not len(right):
        raise ValueError(f"cannot search: {len(left)} sentences on one side, {len(right)} on the other")
    return left.device if isinstance(left, torch.Tensor) else torch.device("cpu")


def _unit(rows: Matrix, device: "torch.device") -> "torch.Tensor":
    import torch

    return torch.nn.functional.normalize(torch.as_tensor(rows, dtype=torch.float32).to(device), dim=1)


class _Top:
    """A running list of the k highest values of each row and their columns, in descending order of value."""

    def __init__(self, rows: int, k: int, device: "torch.device") -> None:
        import torch

        self.k = k
        self.values = torch.full((rows, k), -torch.inf, device=device)
        self.columns = torch.zeros((rows, k), dtype=torch.int64, device=device)

    def add(self, block: "torch.Tensor", row: int, column: int) -> None:
        """Merge a block of similarities whose upper left corner is (row, column).

        The blocks of a row must come in ascending order of column.
        """
        import torch

        rows = slice(row, row + len(block))
        values, columns = torch.topk(block, min(self.k, block.shape[1]), dim=1)
        values = torch.cat([self.values[rows], values], dim=1)
        columns = torch.cat([self.columns[rows], columns + column], dim=1)
        order = torch.sort(values, dim=1, descending=True, stable=True).indices[:, : self.k]
        self.values[rows], self.columns[rows] = values.gather(1, order), columns.gather(1, order)

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return self.values.cpu().numpy(), self.columns.cpu().numpy()
