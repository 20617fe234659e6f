"""Embeddings of token types: the vectors of a lookup, and its gradients up to rounding."""

import pytest
import torch
from torch import nn

from stilts.train.small_embedding import SmallEmbedding
from tests.train.toys import load_model, make_base


@pytest.mark.parametrize("rows", [1, 2])
def test_vectors_are_equal_and_gradients_are_sums(rows):
    torch.manual_seed(0)
    whole = nn.Embedding(rows, 8)
    small = SmallEmbedding(whole)
    ids, weights = torch.randint(rows, (5, 300)), torch.randn(5, 300, 8)
    assert torch.equal(small(ids), whole(ids))
    (theirs,) = torch.autograd.grad((whole(ids) * weights).sum(), whole.weight)
    (ours,) = torch.autograd.grad((small(ids) * weights).sum(), small.weight)
    assert (ours - theirs).abs().max() <= 1e-6 * theirs.abs().max()
    exact = torch.stack([weights[ids == row].double().sum(0) for row in range(rows)])
    assert (ours - exact).abs().max() <= 2e-5


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_an_encoder_keeps_the_names_of_its_parameters(tmp_path, text_file, kind):
    from transformers import AutoModel

    base = make_base(tmp_path, text_file, model_type=kind)
    model = load_model(base, "tagging")
    assert isinstance(model.encoder.embeddings.token_type_embeddings, SmallEmbedding)
    names = {name for name, _ in AutoModel.from_pretrained(base, add_pooling_layer=False).named_parameters()}
    assert {name for name, _ in model.encoder.named_parameters()} == names
    model.save(tmp_path / "saved")
    again, info = AutoModel.from_pretrained(tmp_path / "saved", add_pooling_layer=False, output_loading_info=True)
    assert not info["missing_keys"]
    assert torch.equal(
        again.embeddings.token_type_embeddings.weight, model.encoder.embeddings.token_type_embeddings.weight
    )
