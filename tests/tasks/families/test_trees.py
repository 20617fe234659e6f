"""The best tree, against another implementation and against all trees of small sentences."""

from itertools import product

import networkx
import numpy as np
import pytest

from stilts.tasks.families.trees import best_tree, find_cycle


def total(scores: np.ndarray, heads: np.ndarray) -> float:
    return float(scores[np.arange(len(heads)), heads].sum())


def is_tree(heads: np.ndarray) -> bool:
    return (heads == 0).sum() == 1 and find_cycle(np.array([0, *heads])) is None


def networkx_tree(scores: np.ndarray) -> np.ndarray:
    """The best arborescence, made to have one word below the root by the same penalty on the root's arcs."""
    count = len(scores)
    graph = networkx.DiGraph()
    for word, head in product(range(1, count + 1), range(count + 1)):
        if word != head:
            graph.add_edge(head, word, weight=float(scores[word - 1, head]) - (1000.0 if head == 0 else 0.0))
    heads = np.zeros(count, dtype=int)
    for head, word in networkx.maximum_spanning_arborescence(graph).edges:
        heads[word - 1] = head
    return heads


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 16])
def test_random_matrices_against_networkx(count: int):
    rng = np.random.default_rng(count)
    for _ in range(12):
        scores = rng.normal(size=(count, count + 1))
        assert best_tree(scores).tolist() == networkx_tree(scores).tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_no_tree_of_a_small_sentence_is_better(count: int):
    rng = np.random.default_rng(count)
    every = [np.array(heads) for heads in product(range(count + 1), repeat=count) if is_tree(np.array(heads))]
    assert len(every) == (count) ** (count - 1)  # Cayley: rooted labelled trees
    for _ in range(40):
        scores = rng.normal(size=(count, count + 1)) * 5
        found = best_tree(scores)
        assert is_tree(found)
        assert total(scores, found) == pytest.approx(max(total(scores, heads) for heads in every))


def test_long_sentences_give_trees():
    rng = np.random.default_rng(0)
    for spread in (0.001, 1.0, 1e4):
        scores = (rng.normal(size=(200, 201)) * spread).astype(np.float32)
        assert is_tree(best_tree(scores))


def test_ties_give_a_tree():
    assert is_tree(best_tree(np.zeros((7, 8), dtype=np.float32)))


def test_scores_of_a_model_that_diverged_give_a_tree():
    scores = np.full((4, 5), np.nan, dtype=np.float32)
    scores[1, 2] = np.inf
    assert is_tree(best_tree(scores))


def test_the_root_takes_one_word_however_much_it_likes_them():
    scores = np.array([[9.0, 0, 1], [8, 1, 0]])
    assert best_tree(scores).tolist() == [0, 1]


def test_a_word_is_never_its_own_head():
    scores = np.array([[0.0, 99, 1], [0, 1, 99]])
    assert best_tree(scores).tolist() in ([0, 1], [2, 0])


def test_cycles_are_found():
    assert find_cycle(np.array([0, 0, 1, 2])) is None
    assert sorted(find_cycle(np.array([0, 3, 1, 2, 0, 4]))) == [1, 2, 3]
    assert sorted(find_cycle(np.array([0, 1]))) == [1]
    assert sorted(find_cycle(np.array([0, 2, 1, 1]))) == [1, 2]
