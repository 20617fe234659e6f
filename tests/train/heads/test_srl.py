"""The head of semantic role labelling: what the indicator and the predicate change."""

import torch

from stilts.train.heads import HeadSpec, make_head
from stilts.train.heads.srl import RoleHead

COUNTS = [4, 3]
UNITS = torch.tensor([1, 2, 5, 2, 11, 12, 15])
"""The second word of the first sequence is its predicate; the predicate of the second stands in no word's place."""


class Config:
    hidden_size = 16
    hidden_dropout_prob = 0.0


def head() -> RoleHead:
    made = make_head(HeadSpec("srl", "srl", tuple("abcde")), Config(), 16, seed=1)
    assert isinstance(made, RoleHead)
    return made.eval()


def test_the_indicator_changes_what_words_of_its_sentence_get():
    model, states = head(), torch.randn(7, 16)
    states[3] = states[1]
    with torch.no_grad():
        before = model(states, UNITS, COUNTS)
        model.indicator += 1
        after = model(states, UNITS, COUNTS)
        changed = (before - after).abs().amax(dim=1) > 1e-6
    assert before.shape == (7, 5)
    assert changed.all()


def test_which_word_is_the_predicate_matters_even_where_two_are_alike():
    model = head()
    states = torch.randn(4, 16)
    states[1] = states[2]
    with torch.no_grad():
        model.indicator += 1
        first = model(torch.cat([states[:3], states[1:2]]), torch.tensor([1, 2, 3, 2]), [4])
        second = model(torch.cat([states[:3], states[2:3]]), torch.tensor([1, 2, 3, 3]), [4])
    assert not torch.allclose(first[1], second[1])
    assert torch.allclose(first[1], second[2])


def test_sequences_do_not_mix():
    model, states = head(), torch.randn(7, 16)
    with torch.no_grad():
        together = model(states, UNITS, COUNTS)
        assert torch.allclose(together[:4], model(states[:4], UNITS[:4], COUNTS[:1]), atol=1e-6)
        assert torch.allclose(together[4:], model(states[4:], UNITS[4:], COUNTS[1:]), atol=1e-6)
