"""Maximum spanning trees: the best dependency tree for a matrix of arc scores.

The algorithm of Chu and Liu (1965) and Edmonds (1967), on dense matrices. Every word gets its best head. If this makes
a cycle, the cycle is contracted to one node and the smaller problem is solved. The arc of that solution that enters
the cycle replaces one arc of the cycle.

A dependency tree has exactly one word below the root. To ensure this, the same large number is subtracted from the
score of every arc from the root (after Stanojevic and Cohen 2021). The best tree then has as few such arcs as possible,
which is one, and the order of the trees with one such arc does not change.
"""

import numpy as np


def best_tree(scores: np.ndarray) -> np.ndarray:
    """Heads of the dependency tree with the highest sum of arc scores.

    Args:
        scores: float [n, n + 1]; row d - 1 holds the scores of the arcs to word d (from 1), from the root in column 0
            and from word h in column h. The score of a word as its own head is ignored. NaN and infinite scores count
            as 0.

    Returns:
        int64 [n], the head of each word; 0 is the root.
    """
    count = len(scores)
    square = np.full((count + 1, count + 1), -np.inf)
    square[1:] = np.where(np.isfinite(scores), scores, 0.0)
    np.fill_diagonal(square, -np.inf)
    heads = square.argmax(axis=1)
    # Usually the best heads of the words form a tree already, which is then the best one.
    if (heads[1:] == 0).sum() != 1 or find_cycle(heads) is not None:
        finite = square[np.isfinite(square)]
        square[1:, 0] -= count * (finite.max() - finite.min()) + 1
        heads = _arborescence(square)
    return heads[1:]


def find_cycle(heads: np.ndarray) -> np.ndarray | None:
    """Nodes of one cycle in an array of heads, or None if there is no cycle. Entry 0, the root's, is ignored."""
    above = heads.copy()
    above[0] = 0
    for _ in range(len(heads).bit_length()):
        above = above[above]
    # `above` now holds ancestors that are more levels up than there are nodes. They are the root or lie on a cycle.
    if not above.any():
        return None
    start = node = int(above[above > 0][0])
    cycle: list[int] = []
    while node != start or not cycle:
        cycle.append(node)
        node = int(heads[node])
    return np.array(cycle)


def _arborescence(scores: np.ndarray) -> np.ndarray:
    """Heads of the best arborescence with root 0; `scores[d, h]` is the score of the arc from h to d, -inf if none."""
    heads = scores.argmax(axis=1)
    cycle = find_cycle(heads)
    if cycle is None:
        return heads
    rest = np.setdiff1d(np.arange(len(scores)), cycle)
    # Score of each arc into the cycle, less the score of the arc of the cycle that it replaces.
    entering = scores[np.ix_(cycle, rest)] - scores[cycle, heads[cycle]][:, None]
    leaving = scores[np.ix_(rest, cycle)]
    small = np.full((len(rest) + 1, len(rest) + 1), -np.inf)
    small[:-1, :-1] = scores[np.ix_(rest, rest)]
    small[:-1, -1] = leaving.max(axis=1)
    small[-1, :-1] = entering.max(axis=0)
    solved = _arborescence(small)
    inside = solved[:-1] == len(rest)
    heads[rest] = np.where(inside, cycle[leaving.argmax(axis=1)], rest[np.minimum(solved[:-1], len(rest) - 1)])
    above = solved[-1]
    heads[cycle[entering[:, above].argmax()]] = rest[above]
    return heads
