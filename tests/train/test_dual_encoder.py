"""Contrastive blocks: what is a negative of what depends on the step's items alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stilts.data.batching import epoch_order, split_packed
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train import features as module
from stilts.train.features import Features, in_blocks
from stilts.train.heads.dual_encoder import SCALE, DualEncoder
from stilts.train.loop import train
from stilts.train.ranks import Ranks
from tests.train.toys import collate, load_model, make_features, one_part


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 5)


def rows_of(count: int) -> Features:
    return Features.of(make_features("dual_encoder", count), "dual_encoder")


def run(base: Path, ranks: Ranks, budget: int = 8192, **fields) -> list[float]:
    settings = {"learning_rate": 3e-3, "batch_size": 16, "max_length": 64, "precision": "fp32", "selection": "last"}
    model = load_model(base, "dual_encoder", seed=0)
    runtime = Runtime(tokens_per_micro_batch=budget)
    recipe = Recipe(**{**settings, **fields})
    parts = one_part(make_features("dual_encoder"), "dual_encoder", recipe)
    result = train(model, parts, recipe, runtime, ranks)
    return [loss for _, loss in result.losses]


def test_the_loss_is_that_of_each_block_by_itself(base: Path, small_blocks: None):
    """Against the cross entropy of a matrix of cosines for each block, computed with numpy."""
    model = load_model(base, "dual_encoder", seed=0).eval()
    rows = in_blocks(rows_of(13).take(np.arange(26)[::-1].reshape(13, 2)[:, ::-1].ravel()))
    (packed,) = split_packed(rows.ids.lengths.tolist(), rows.together.tolist(), 64, 4096, 1)
    with torch.no_grad():
        found = sum(model(collate(rows, batch, 1, torch.device("cpu"), True)).item() for batch in packed)
        plain = collate(rows, [[i] for i in range(26)], 1, torch.device("cpu"), False)
        vectors = model(plain, "outputs").numpy().astype(np.float64)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    wanted = 0.0
    for block in range(3):
        members = np.flatnonzero(rows.block == block)
        cosines = 100 * vectors[members[::2]] @ vectors[members[1::2]].T
        wanted += np.sum(np.log(np.exp(cosines).sum(axis=1)) - np.diag(cosines))
    assert found == pytest.approx(wanted, rel=1e-4)


def test_micro_batches_do_not_change_the_result(base: Path, ranks: Ranks, small_blocks: None):
    # The scale of 100 multiplies rounding errors too.
    assert run(base, ranks, 64, epochs=2) == pytest.approx(run(base, ranks, epochs=2), rel=1e-3)


def test_other_blocks_are_another_training(base: Path, ranks: Ranks, monkeypatch: pytest.MonkeyPatch):
    whole = run(base, ranks, max_steps=1)
    monkeypatch.setattr(module, "BLOCK", 4)
    assert run(base, ranks, max_steps=1)[0] < whole[0]


def test_it_learns_which_text_answers(base: Path, ranks: Ranks):
    losses = run(base, ranks, epochs=15)
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])


def test_a_repeated_pair_stays_two(base: Path):
    """A sampler that draws an item twice in one step makes two pairs of it."""
    rows = rows_of(3).take([0, 1, 2, 3, 0, 1])
    model = load_model(base, "dual_encoder", seed=0)
    loss = model(collate(in_blocks(rows), [[i] for i in range(6)], 1, torch.device("cpu"), False))
    assert torch.isfinite(loss)
    assert len(epoch_order(3, 0, 0)) == 3


def contrast(vectors: torch.Tensor, texts: list[int], queries: list[int]) -> torch.Tensor:
    """Loss of pairs in one block; equal numbers are equal texts."""
    count = len(texts)
    targets = {
        "queries": torch.arange(count),
        "texts": torch.arange(count, 2 * count),
        "block": torch.zeros(2 * count, dtype=torch.long),
        "text": torch.tensor([*queries, *texts]),
    }
    return DualEncoder().loss_sum(vectors, targets)


def test_equal_texts_are_no_negatives_of_each_other():
    """A text that occurs twice costs a query nothing, whichever of the two is called its own."""
    vectors = F.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    vectors[4] = vectors[3]  # the texts of the first two pairs are the same
    scores = SCALE * vectors[:3] @ vectors[3:].T
    expected = sum(
        F.cross_entropy(scores[query][kept][None], torch.tensor([kept.index(query)]))
        for query, kept in enumerate([[0, 2], [1, 2], [0, 1, 2]])
    )
    assert contrast(vectors, [13, 13, 15], [10, 11, 12]).item() == pytest.approx(float(expected), rel=1e-5)


def test_other_answers_to_an_equal_query_are_no_negatives():
    vectors = F.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    scores = SCALE * vectors[:3] @ vectors[3:].T
    expected = sum(
        F.cross_entropy(scores[query][kept][None], torch.tensor([kept.index(query)]))
        for query, kept in enumerate([[0, 2], [1, 2], [0, 1, 2]])
    )
    assert contrast(vectors, [13, 14, 15], [10, 10, 12]).item() == pytest.approx(float(expected), rel=1e-5)


def test_batches_number_equal_sequences_alike(base: Path):
    features = in_blocks(Features.of(make_features("dual_encoder", 4), "dual_encoder").take([0, 1, 2, 3, 0, 1]))
    batch = collate(features, [[row] for row in range(6)], 1, torch.device("cpu"), packed=True)
    assert batch.targets["text"].tolist() == [0, 1, 2, 3, 0, 1]
