"""The parser's head, against a plain computation word by word."""

import pytest
import torch
from torch.nn import functional

from stilts.train.heads.parsing import BiaffineHead, best_relations, parsing_loss

COUNTS = [3, 1, 4]


@pytest.fixture
def head() -> BiaffineHead:
    torch.manual_seed(0)
    head = BiaffineHead(8, 5, 0.0)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return head.eval()


def projected(layer: torch.nn.Linear, state: torch.Tensor) -> torch.Tensor:
    return torch.cat([functional.leaky_relu(layer.weight @ state + layer.bias, 0.1), torch.ones(1)])


def test_each_arc_is_a_bilinear_form_within_its_sentence(head: BiaffineHead):
    states = torch.randn(sum(COUNTS), 8)
    with torch.no_grad():
        scores = head(states, COUNTS)
        assert scores.shape == (8, 5, 6)
        first = 0
        for count in COUNTS:
            sentence = states[first : first + count]
            for word in range(count):
                for other in range(5):
                    found = scores[first + word, other]
                    if other > count or other == word + 1:
                        assert found[0] == float("-inf")
                        continue
                    above = head.root if other == 0 else sentence[other - 1]
                    arc = projected(head.arc_dependent, sentence[word]) @ head.arcs[0]
                    assert torch.allclose(found[0], arc @ projected(head.arc_head, above), rtol=1e-3, atol=1e-3)
                    relation = projected(head.relation_dependent, sentence[word]) @ head.relations
                    expected = relation @ projected(head.relation_head, above)
                    assert torch.allclose(found[1:], expected, rtol=1e-3, atol=1e-3)
            first += count


def test_the_loss_sums_over_words_with_gold_and_is_finite(head: BiaffineHead):
    states = torch.randn(sum(COUNTS), 8)
    heads = torch.tensor([2, 0, -100, 0, 0, 1, 1, -100])
    labels = torch.tensor([1, 0, -100, 0, 0, 3, 4, -100])
    scores = head(states, COUNTS)
    loss = parsing_loss(scores, {"heads": heads, "labels": labels})
    expected = 0.0
    for word in range(8):
        if heads[word] >= 0:
            expected += functional.cross_entropy(scores[word, :, 0], heads[word]).item()
            expected += functional.cross_entropy(scores[word, heads[word], 1:], labels[word]).item()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_best_relation_of_an_arc_is_never_the_roots_own():
    scores = torch.zeros(1, 2, 4)
    scores[0, 0] = torch.tensor([0.5, 9, 1, 2])
    scores[0, 1] = torch.tensor([float("-inf"), 9, 3, 2])
    assert best_relations(scores).tolist() == [[[0.5, 2.0], [float("-inf"), 1.0]]]


def test_scores_are_in_full_precision(head: BiaffineHead):
    assert head.to(torch.bfloat16)(torch.randn(3, 8, dtype=torch.bfloat16), [3]).dtype == torch.float32
