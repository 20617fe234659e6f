"""Retrieval against plain restatements of its rules, on sizes that cross the block borders."""

import numpy as np
import pytest

from stilts.evaluate import mining
from stilts.evaluate.mining import best_threshold, distinct, mine, mine_sentences, nearest


def rows(count: int, seed: int, size: int = 16) -> np.ndarray:
    # A common direction keeps cosines positive, as they are in real encoders.
    return (np.random.default_rng(seed).normal(size=(count, size)) + 1).astype(np.float32)


def cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x.astype(np.float64), y.astype(np.float64)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (y / np.linalg.norm(y, axis=1, keepdims=True)).T


def mine_plainly(x: np.ndarray, y: np.ndarray, k: int) -> list[tuple[int, int]]:
    cos = cosines(x, y)
    forward = np.sort(cos, axis=1)[:, -k:].mean(axis=1)
    backward = np.sort(cos, axis=0)[-k:].mean(axis=0)
    margin = cos / ((forward[:, None] + backward[None]) / 2)
    proposals = set()
    for i in range(len(x)):
        neighbours = np.argsort(-cos[i])[:k]
        proposals.add((i, int(neighbours[margin[i, neighbours].argmax()])))
    for j in range(len(y)):
        neighbours = np.argsort(-cos[:, j])[:k]
        proposals.add((int(neighbours[margin[neighbours, j].argmax()]), j))
    taken = []
    for i, j in sorted(proposals, key=lambda pair: -margin[pair]):
        if all(i != a and j != b for a, b in taken):
            taken.append((i, j))
    return taken


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining, "BLOCK", 7)


@pytest.mark.usefixtures("small_blocks")
def test_nearest_is_the_highest_cosine() -> None:
    queries, corpus = rows(20, 1), rows(33, 2)
    assert nearest(queries, corpus).tolist() == cosines(queries, corpus).argmax(axis=1).tolist()


def test_nearest_ignores_length_and_settles_ties_by_the_lower_row() -> None:
    corpus = np.array([[0, 1], [3, 0], [1, 0], [0.5, 0]], dtype=np.float32)
    assert nearest(np.array([[9, 0.1]], dtype=np.float32), corpus).tolist() == [1]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize(("left", "right"), [(30, 18), (5, 40), (21, 21), (3, 2)])
def test_mining_equals_its_rule_restated(left: int, right: int, k: int) -> None:
    x, y = rows(left, left), rows(right, right + 100)
    assert [(i, j) for _, i, j in mine(x, y, k)] == mine_plainly(x, y, k)


def test_margin_by_hand() -> None:
    x = np.array([[1, 0], [0, 1]], dtype=np.float32)
    y = np.array([[0.8, 0.6], [0.6, 0.8]], dtype=np.float32)
    # cosines .8 .6 / .6 .8; with k = 2 each mean is .7, so the margin of a right pair is .8 / .7
    pairs = mine(x, y, k=2)
    assert [(i, j) for _, i, j in pairs] == [(0, 0), (1, 1)]
    assert [score for score, _, _ in pairs] == pytest.approx([0.8 / 0.7] * 2)


def test_the_margin_corrects_a_hub() -> None:
    """A target that is near to every source is not everyone's translation."""
    x = np.eye(4, dtype=np.float32)
    hub = np.full((1, 4), 0.5, dtype=np.float32)
    y = np.concatenate([hub, np.eye(4, dtype=np.float32) * 0.45 + 0.3]).astype(np.float32)
    assert sorted((i, j) for _, i, j in mine(x, y, k=4)) == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_pairs_are_one_to_one_and_falling() -> None:
    pairs = mine(rows(50, 3), rows(60, 4))
    scores = [score for score, _, _ in pairs]
    assert scores == sorted(scores, reverse=True)
    assert len({i for _, i, _ in pairs}) == len({j for _, _, j in pairs}) == len(pairs)


def test_opposite_sentences_are_no_pair() -> None:
    assert mine(np.array([[1, 0]], dtype=np.float32), np.array([[-1, 0]], dtype=np.float32)) == []
    assert mine(np.zeros((1, 2), dtype=np.float32), np.ones((1, 2), dtype=np.float32)) == []


def test_an_empty_side_is_refused() -> None:
    with pytest.raises(ValueError, match="0 sentences on one side, 3 on the other"):
        mine(rows(0, 1), rows(3, 1))


def test_threshold_is_midway_below_the_best_cut() -> None:
    candidates = [(1.4, 0, 0), (1.2, 1, 1), (1.0, 2, 9), (0.9, 3, 3), (0.5, 4, 9)]
    # F1 after 1, 2, 3, 4, 5 pairs, gold of 3: 50, 80, 67, 86, 75
    threshold, f1 = best_threshold(candidates, {(0, 0), (1, 1), (3, 3)})
    assert threshold == pytest.approx(0.7)
    assert f1 == pytest.approx(600 / 7)


def test_threshold_where_all_are_taken_is_the_lowest_score() -> None:
    assert best_threshold([(1.2, 0, 0), (1.1, 1, 1)], {(0, 0), (1, 1)}) == (1.1, 100.0)


def test_gold_that_was_not_mined_counts_as_missed() -> None:
    assert best_threshold([(1.2, 0, 0)], {(0, 0), (5, 5), (6, 6)}) == (1.2, 50.0)


def test_threshold_does_not_part_equal_scores() -> None:
    candidates = [(1.0, 0, 0), (1.0, 1, 9), (0.5, 2, 9)]
    threshold, f1 = best_threshold(candidates, {(0, 0)})
    taken = [pair for pair in candidates if pair[0] >= threshold]
    assert threshold == 0.75
    assert f1 == pytest.approx(200 * 1 / (len(taken) + 1))


def test_threshold_without_a_right_candidate_is_zero() -> None:
    assert best_threshold([(1.0, 0, 1)], {(0, 0)}) == (0.0, 0.0)
    assert best_threshold([], {(0, 0)}) == (0.0, 0.0)


def test_threshold_takes_ids() -> None:
    assert best_threshold([(1.0, "de-1", "en-1")], [("de-1", "en-1")]) == (1.0, 100.0)


def test_distinct_sentences() -> None:
    assert distinct(["a", "b", "a ", "c", "a"]) == ([0, 1, 3], {0})


def test_repeated_sentences_neither_crowd_the_neighbourhood_nor_form_pairs() -> None:
    x, y = rows(6, 5), rows(6, 5) + 0.01
    doubled, texts = np.concatenate([x, x[:1], x[:1], x[:1]]), [*"abcdef", "a", "a", "a"]
    pairs = mine_sentences(doubled, y, texts, [*"ABCDEF"])
    assert sorted((i, j) for _, i, j in pairs) == [(i, i) for i in range(1, 6)]
    assert [p for p in mine(x, y) if p[1] != 0] == [pytest.approx(p) for p in pairs]


def test_results_repeat() -> None:
    x, y = rows(100, 8), rows(100, 9)
    assert mine(x, y) == mine(x, y)


def test_rank_is_a_full_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining, "BLOCK", 7)
    rng = np.random.default_rng(0)
    queries, corpus = rng.normal(size=(10, 5)).astype(np.float32), rng.normal(size=(50, 5)).astype(np.float32)
    cosines = queries @ (corpus / np.linalg.norm(corpus, axis=1, keepdims=True)).T
    assert np.array_equal(mining.rank(queries, corpus, 20), np.argsort(-cosines, axis=1)[:, :20])
    assert mining.rank(queries, corpus[:3], 20).shape == (10, 3)
