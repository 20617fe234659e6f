"""The parameter groups of AdamW, and what weight decay applies to."""

import pytest
import torch
from transformers import Trainer

from stilts.train.model import Model
from stilts.train.optimizer import HeadAdamW, parameter_groups
from tests.train.toys import head_spec, load_model, make_base

SIZES = {
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "dropout": 0.0},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 2, "dropout": 0.0},
}


def decayed(model: torch.nn.Module) -> set[str]:
    groups = parameter_groups(model, 0.1)
    kept = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    return {name for name, p in model.named_parameters() if id(p) in kept}


@pytest.mark.parametrize("kind", ["xlm-roberta", "xlnet", "deberta-v2", "xlm", "modernbert"])
def test_decay_applies_to_what_transformers_decays(text_file, tmp_path, kind):
    config = SIZES.get(kind, {})
    model = load_model(make_base(tmp_path, text_file, plain=kind in SIZES, model_type=kind, **config), "classification")
    expected = set(Trainer.get_decay_parameter_names(None, model)) - {"encoder.mask_emb"}
    assert decayed(model) == expected
    assert not any(name.endswith("bias") for name in expected)


def test_a_heads_name_does_not_stop_its_decay(base):
    model = Model.load(base, [head_spec("classification", name="unbiased_norm"), head_spec("tagging")])
    assert "heads.unbiased_norm.output.weight" in decayed(model)
    assert "heads.unbiased_norm.output.bias" not in decayed(model)


def test_select_leaves_the_other_heads_out():
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(2))], "part": part, "active": True} for part in (None, "a", "b")
    ]
    optimizer = HeadAdamW(groups, lr=0.0, weight_decay=0.0)
    for group in optimizer.param_groups:
        group["params"][0].grad = torch.ones(2)
    optimizer.select(0.5, {"b"})
    optimizer.step()
    moved = [bool((group["params"][0] != 1).all()) for group in optimizer.param_groups]
    assert moved == [True, False, True]
    assert optimizer.state[optimizer.param_groups[1]["params"][0]] == {}
