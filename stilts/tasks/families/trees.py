"""Maximum spanning trees: the best dependency tree for a matrix of arc scores.

Chu and Liu (1965) and Edmonds (1967), on dense matrices: every word takes its best head; a cycle is contracted to one
node, the smaller problem is solved, and the arc that enters the cycle there says where it breaks. A tree has exactly
one word below the root: arcs from the root are made so expensive that the best tree holds as few of them as it can,
which is one, and between trees with one nothing changes (after Stanojevic and Cohen 2021).
"""

import numpy as np


def best_tree(scores: np.ndarray) -> np.ndarray:
    """Heads of the tree with the greatest sum of scores.

    Args:
        scores: float [n, n + 1], of the arc to each word from the root (column 0) and from word h (column h, counted
            from 1). A word is never its own head, whatever its score; what is no number counts as 0.

    Returns:
        int64 [n], the head of each word, 0 for the one below the root.
    """
    count = len(scores)
    square = np.full((count + 1, count + 1), -np.inf)
    square[1:] = np.where(np.isfinite(scores), scores, 0.0)
    np.fill_diagonal(square, -np.inf)
    heads = square.argmax(axis=1)
    # Mostly the best heads are a tree already: no other can be better.
    if (heads[1:] == 0).sum() != 1 or find_cycle(heads) is not None:
        finite = square[np.isfinite(square)]
        square[1:, 0] -= count * (finite.max() - finite.min()) + 1
        heads = _arborescence(square)
    return heads[1:]


def find_cycle(heads: np.ndarray) -> np.ndarray | None:
    """Nodes of one cycle in an array of heads whose entry 0 stands for the root and is not read; None without one."""
    above = heads.copy()
    above[0] = 0
    for _ in range(len(heads).bit_length()):
        above = above[above]
    # After more steps than there are nodes, whoever has not reached the root stands on a cycle.
    if not above.any():
        return None
    start = node = int(above[above > 0][0])
    cycle: list[int] = []
    while node != start or not cycle:
        cycle.append(node)
        node = int(heads[node])
    return np.array(cycle)


def _arborescence(scores: np.ndarray) -> np.ndarray:
    """Heads of the best arborescence from node 0; `scores[d, h]`, minus infinity where there is no arc."""
    heads = scores.argmax(axis=1)
    cycle = find_cycle(heads)
    if cycle is None:
        return heads
    rest = np.setdiff1d(np.arange(len(scores)), cycle)
    # What entering the cycle at a node gains over the arc of the cycle that it replaces.
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
