"""BERT's rule of masked language modelling (arXiv:1810.04805, section 3.1): of the tokens that are predicted, 80 % are
replaced by the mask, 10 % by a random token, and 10 % stay as they are."""

import numpy as np
import pytest

from stilts.train.features import Features, Ragged, offsets_of
from stilts.train.masking import mask_tokens

VOCABULARY, MASK, SPECIAL = 5000, 4, (0, 1, 2, 3, 4)


def rows_of(count: int = 400, length: int = 250) -> Features:
    """Rows of random words between two special tokens."""
    words = np.random.default_rng(0).integers(5, VOCABULARY, (count, length)).astype(np.int32)
    words[:, 0], words[:, -1] = 0, 2
    ids = Ragged(words.ravel(), offsets_of(np.full(count, length)))
    return Features("mlm", ids, item=np.arange(count), choice=np.zeros(count, int))


def masked(rows: Features, probability: float = 0.15, seed: tuple[int, ...] = (1, 2)) -> Features:
    return mask_tokens(rows, probability, SPECIAL, MASK, VOCABULARY, seed)


def predicted(rows: Features, found: Features) -> np.ndarray:
    """Places of the predicted tokens in the rows' values."""
    lengths = found.lists("positions").lengths
    return found.lists("positions").values + np.repeat(rows.ids.offsets[:-1], lengths)


@pytest.mark.parametrize("probability", [0.15, 0.4])
def test_a_share_of_the_words_is_predicted_and_no_special_token(probability: float) -> None:
    rows = rows_of()
    places = predicted(rows, masked(rows, probability))
    words = np.isin(rows.ids.values, SPECIAL, invert=True)
    assert words[places].all()
    assert len(places) == len(np.unique(places))
    assert len(places) / words.sum() == pytest.approx(probability, abs=0.005)


def test_the_labels_are_the_tokens_as_they_were_and_all_others_stay() -> None:
    rows = rows_of()
    found = masked(rows)
    places = predicted(rows, found)
    assert np.array_equal(found.lists("labels").values, rows.ids.values[places])
    others = np.setdiff1d(np.arange(len(rows.ids.values)), places)
    assert np.array_equal(found.ids.values[others], rows.ids.values[others])


def test_80_percent_are_masked_10_percent_random_and_10_percent_unchanged() -> None:
    rows = rows_of()
    places = predicted(rows, masked(rows))
    before, after = rows.ids.values[places], masked(rows).ids.values[places]
    hidden, same = after == MASK, after == before
    # 15,000 predicted tokens: the standard error of a share is at most 0.33 %.
    assert hidden.mean() == pytest.approx(0.8, abs=0.012)
    assert same.mean() == pytest.approx(0.1, abs=0.01)
    assert (~hidden & ~same).mean() == pytest.approx(0.1, abs=0.01)


def test_random_tokens_come_from_the_whole_vocabulary_alike() -> None:
    rows = rows_of(2000)
    places = predicted(rows, masked(rows))
    before, after = rows.ids.values[places], masked(rows).ids.values[places]
    drawn = after[(after != MASK) & (after != before)]
    counts, _ = np.histogram(drawn, bins=10, range=(0, VOCABULARY))
    assert counts / len(drawn) == pytest.approx(np.full(10, 0.1), abs=0.02)


def test_masking_is_a_function_of_the_seed_and_of_each_step() -> None:
    rows = rows_of(20)
    assert np.array_equal(masked(rows).ids.values, masked(rows).ids.values)
    assert not np.array_equal(masked(rows).ids.values, masked(rows, seed=(1, 3)).ids.values)
    assert not np.array_equal(masked(rows).ids.values, masked(rows, seed=(2, 2)).ids.values)
