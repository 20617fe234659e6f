"""Data order and the layout of steps."""

import time

import numpy as np
import pytest

from stilts.data.batching import Sampler, epoch_order, language_order, pack, split_packed, split_padded


def test_epoch_order_is_a_permutation_fixed_by_seed_and_epoch():
    order = epoch_order(1000, seed=3, epoch=2)
    assert sorted(order) == list(range(1000))
    assert (order == epoch_order(1000, seed=3, epoch=2)).all()
    assert (order != epoch_order(1000, seed=3, epoch=1)).any()
    assert (order != epoch_order(1000, seed=4, epoch=2)).any()


def test_epoch_order_has_not_changed_since_the_first_artifacts():
    assert epoch_order(8, seed=0, epoch=0).tolist() == [2, 4, 3, 6, 5, 0, 1, 7]


def test_sampler_covers_each_epoch_and_keeps_the_partial_step():
    sampler = Sampler(items=10, batch_size=4, seed=0)
    assert sampler.steps_per_epoch == 3
    assert sorted(np.concatenate([sampler.step(s) for s in range(3)])) == list(range(10))
    assert sorted(np.concatenate([sampler.step(s) for s in range(3, 6)])) == list(range(10))
    assert [len(sampler.step(s)) for s in range(6)] == [4, 4, 2, 4, 4, 2]


def test_languages_are_drawn_in_proportion_to_a_power_of_their_size():
    languages = np.repeat([0, 1], [900, 100])
    for exponent, small in [(1.0, 100), (0.0, 500), (0.5, 250)]:
        order = language_order(languages, exponent, seed=0, epoch=0)
        assert len(order) == 1000
        assert (languages[order] == 1).sum() == small


def test_a_language_repeats_only_when_it_is_used_up():
    languages = np.repeat([0, 1], [900, 100])
    order = language_order(languages, 0.0, seed=0, epoch=0)
    counts = np.bincount(order, minlength=1000)
    assert counts[:900].max() == 1
    assert set(counts[900:]) == {5}
    assert (order == language_order(languages, 0.0, seed=0, epoch=0)).all()


def test_pack_fills_rows_first_fit():
    assert pack([5, 3, 7, 2], max_length=10) == [[2, 1], [0, 3]]
    with pytest.raises(ValueError, match="11 tokens"):
        pack([11], max_length=10)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_layouts_keep_every_invariant(world, seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, size=rng.integers(1, 30))
    items = np.repeat(np.arange(len(sizes)), sizes).tolist()
    lengths = rng.integers(3, 65, size=len(items)).tolist()
    budget = 320
    packed = split_packed(lengths, items, 64, budget, world)
    padded = split_padded(lengths, items, budget, world)
    for layout in (packed, padded):
        assert len(layout) == world
        assert len({len(rank) for rank in layout}) == 1
        batches = [batch for rank in layout for batch in rank]
        placed = [index for batch in batches for row in batch for index in row]
        assert sorted(placed) == list(range(len(items)))
        homes = {}
        for number, batch in enumerate(batches):
            assert number is not None
            for row in batch:
                for index in row:
                    assert homes.setdefault(items[index], number) == number
            if batch:
                width = max(sum(lengths[i] for i in row) for row in batch)
                assert width <= 64
                assert len(batch) * width <= budget or len({items[i] for row in batch for i in row}) == 1


def test_packing_wastes_little():
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.gamma(3.0, 13.0, size=32 * 50), 5, 128).astype(int)
    rows = [
        len(batch)
        for step in lengths.reshape(50, 32)
        for rank in split_packed(step.tolist(), range(32), 128, 8192, 1)
        for batch in rank
    ]
    assert lengths.sum() / (sum(rows) * 128) > 0.85


def test_ranks_share_a_step_evenly():
    rng = np.random.default_rng(0)
    lengths = rng.integers(10, 60, size=64).tolist()
    tokens = [
        sum(lengths[i] for batch in rank for row in batch for i in row)
        for rank in split_packed(lengths, range(64), 128, 8192, 4)
    ]
    assert max(tokens) < 1.1 * min(tokens)


def test_a_large_epoch_is_cheap_to_order():
    began = time.process_time()
    Sampler(items=392_702, batch_size=32, seed=0).step(12_000)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("world", [1, 2, 3])
def test_an_item_larger_than_the_budget_is_a_micro_batch_by_itself(world: int):
    ranks = split_packed([30, 30, 30, 30, 8], [0, 0, 0, 0, 1], 32, 64, world)
    batches = [sorted(index for row in batch for index in row) for rank in ranks for batch in rank]
    assert sorted(batches) == [*([] for _ in range(len(batches) - 2)), [0, 1, 2, 3], [4]]
