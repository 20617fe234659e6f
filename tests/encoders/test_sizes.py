"""Sizes of encoders against models that transformers builds from the same configurations, without weights."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from stilts.encoders.architectures import architecture, published
from stilts.encoders.sizes import shape, shape_of
from stilts.identity.stage import BaseSpec


def built(config: dict) -> int:
    """Parameters of the encoder, without the pooler, which stilts drops."""
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.for_model(**config))
    return sum(value.numel() for name, value in model.named_parameters() if not name.startswith("pooler."))


FULL: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {"max_position_embeddings": 514, "type_vocab_size": 1},
    "xlm-roberta": {"max_position_embeddings": 514, "type_vocab_size": 1},
    "xlm": {"n_heads": 16},
    "rembert": {"intermediate_size": 4608, "num_attention_heads": 18},
    "deberta-v2": {"norm_rel_ebd": "layer_norm", "pos_att_type": ["p2c", "c2p"], "num_attention_heads": 12},
    "xlnet": {},
    "modernbert": {"cls_token_id": 1, "sep_token_id": 2, "eos_token_id": 2, "bos_token_id": 1},
    "eurobert": {},
    "gte": {"intermediate_size": 3072},
    "xlm-roberta-xl": {"type_vocab_size": 1},
    "xmod": {"type_vocab_size": 1},
}
"""What published configurations add and planning does not need, by model type."""


@pytest.mark.parametrize("name", published())
def test_published_models(name: str) -> None:
    config = dict(published()[name].config)
    width = shape(config).width
    inner = {"xlnet": "d_inner", "xlm": None}.get(config["model_type"], "intermediate_size")
    heads = {"xlnet": "n_head", "xlm": "n_heads"}.get(config["model_type"], "num_attention_heads")
    fields = {heads: width // 64, **({inner: 4 * width} if inner else {}), **FULL[config["model_type"]], **config}
    own = architecture(config["model_type"]).names
    fields = {own.get(name, name): value for name, value in fields.items()}
    assert shape(config).parameters == pytest.approx(built(fields), rel=0.004)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("xlm-roberta-base", 278),
        ("xlm-roberta-large", 560),
        ("bert-base-multilingual-cased", 178),
        ("xlm-mlm-100-1280", 570),
        ("xlm-mlm-xnli15-1024", 250),
        ("xlm-v-base", 779),
        ("rembert", 576),
        ("mdeberta-v3-base", 278),
        ("xlnet-large-cased", 360),
        ("mmbert-base", 307),
        ("mmbert-small", 140),
        ("eurobert-210m", 212),
        ("eurobert-610m", 608),
        ("eurobert-2.1b", 2100),
        ("gte-multilingual-mlm-base", 305),
        ("multilingual-minilm-l12-h384", 118),
        ("xmod-base", 852),
        ("multilingual-e5-small", 118),
        ("labse", 471),
        ("bge-m3", 567),
        ("xlm-roberta-xl", 3480),
        ("xlm-roberta-xxl", 10700),
    ],
)
def test_parameters_are_those_that_the_models_cards_state(name: str, millions: float) -> None:
    size = shape_of(BaseSpec({"hub": f"somebody/{name}", "revision": "x"}))
    assert size is not None
    assert size.parameters / 1e6 == pytest.approx(millions, rel=0.01)


def test_deberta_with_projections_of_its_own_for_distances() -> None:
    config = {
        "model_type": "deberta-v2",
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 256,
        "vocab_size": 1000,
        "relative_attention": True,
        "pos_att_type": ["c2p", "p2c"],
    }
    assert shape(config).parameters == pytest.approx(built(config), rel=0.02)


def test_shape_of_other_bases() -> None:
    assert shape_of(BaseSpec({"hub": "a/unheard-of", "revision": "x"})) is None
    init = {
        "config": {"hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 16},
        "tokenizer": {"vocab_size": 10},
    }
    assert shape_of(BaseSpec({"init": init})) == shape(
        {"hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 16, "vocab_size": 10}
    )
    assert shape({"hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 16}).layer_parameters == 1024


def test_layers_with_a_window_cost_no_more_than_its_tokens() -> None:
    """mmBERT base: 14 of 22 layers attend to 64 tokens on each side and the token itself."""
    size = shape(published()["mmbert-base"].config)
    assert size.windowed == (14, 129)
    assert shape(published()["xlm-roberta-base"].config).windowed == (0, 0)
    short, long = (size.flops_per_token(length, training=True) for length in (100, 8192))
    assert short - 6 * size.layer_parameters == 12 * 768 * 22 * 100
    assert long - 6 * size.layer_parameters == 12 * 768 * (8 * 8192 + 14 * 129)
