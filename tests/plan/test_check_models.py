"""The plan refuses what a base model cannot do."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from rich.console import Console

from stilts.encoders.architectures import published
from stilts.encoders.sizes import shape_of
from stilts.errors import Problems, StiltsError
from stilts.identity.stage import BaseSpec
from stilts.plan.check_models import model_rows, model_warnings, recipe_notes
from stilts.plan.expand import Expansion, expand
from stilts.plan.summary import make_plan, summarize
from stilts.run.launch import check_limits
from stilts.run.meter import Limits
from tests.plan.conftest import HUB, FakeData, declare


def planned(data: FakeData, model: dict[str, Any], **fields: Any) -> Expansion:
    return expand(declare(models={"some": model}, intermediates=["none", "squad"], **fields), data)


def test_sequences_longer_than_the_positions(data: FakeData) -> None:
    with pytest.raises(Problems) as caught:
        planned(data, {"hub": "google/rembert", "revision": "x"}, recipes={"squad": {"max_length": 513}})
    assert len(caught.value.messages) == 1
    assert "max_length 513 of squad is more than the model's 512 positions" in caught.value.messages[0]
    planned(data, HUB, recipes={"squad": {"max_length": 512}})


def test_a_base_made_on_the_spot(data: FakeData) -> None:
    model = {"init": {"config": {"max_position_embeddings": 130}, "tokenizer": {"vocab_size": 100}}}
    with pytest.raises(Problems, match="max_length 129 of xnli is more than the model's 128 positions"):
        planned(data, model, recipe={"max_length": 128}, recipes={"xnli": {"max_length": 129}, "squad": {"stride": 64}})


def test_evaluations_longer_than_the_positions(data: FakeData) -> None:
    """The dev set by which models are chosen counts, and a base that is evaluated without training."""
    model = {"init": {"config": {"max_position_embeddings": 258}, "tokenizer": {"vocab_size": 100}}}
    fields = {"targets": ["xquad", "tatoeba"], "recipe": {"max_length": 192}}
    with pytest.raises(Problems) as caught:
        planned(data, model, settings={"squad": {"max_length": 384}}, **fields)
    messages = sorted(message.partition(": ")[2] for message in caught.value.messages)
    assert messages == [
        f"max_length {length} of the evaluation on {task} is more than the model's 256 positions; "
        f"lower it (settings: {{{task}: {{max_length: 256}}}})"
        for task, length in (("squad", 384), ("tatoeba", 512))
    ]
    fitting = {task: {"max_length": 256} for task in ("squad", "xquad", "tatoeba")}
    planned(data, model, settings=fitting, **fields)


@pytest.mark.parametrize("name", ["xlnet/xlnet-large-cased", "microsoft/mdeberta-v3-base", "somebody/else"])
def test_relative_positions_and_unknown_models_have_no_limit(data: FakeData, name: str) -> None:
    planned(data, {"hub": name, "revision": "x"}, recipes={"squad": {"max_length": 1000}})


def test_layers_that_cannot_be_recomputed(data: FakeData) -> None:
    planned(data, HUB, runtime={"gradient_checkpointing": True})
    with pytest.raises(Problems, match="gradient_checkpointing: transformers has none for xlnet"):
        planned(data, {"hub": "xlnet/xlnet-base-cased", "revision": "x"}, runtime={"gradient_checkpointing": True})


# --- which models are accepted ----------------------------------------------------------------------------

UNKNOWN = {"hub": "somebody/else", "revision": "0" * 40}
SHAPE = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "vocab_size": 1000}


def refused(data: FakeData, model: dict[str, Any], **fields: Any) -> list[str]:
    with pytest.raises(Problems) as caught:
        planned(data, model, **fields)
    return caught.value.messages


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("gpt2", "is a decoder"),
        ("llama", "is a decoder"),
        ("qwen3", "is a decoder"),
        ("t5", "is an encoder-decoder"),
        ("mt5", "is an encoder-decoder"),
        ("canine", "is no encoder of text"),
        ("evil", "is not a model type of the installed transformers"),
    ],
)
def test_what_is_no_encoder_is_refused_once(data: FakeData, kind: str, why: str) -> None:
    for model in (
        {**UNKNOWN, "shape": {"model_type": kind, **SHAPE}},
        {"init": {"config": {"model_type": kind}, "tokenizer": {"vocab_size": 100}}},
    ):
        messages = refused(data, model, seeds=[1, 2])
        assert len(messages) == 1
        assert why in messages[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"hiden_size": 64},
            "init.config: hiden_size is no field of a xlm-roberta configuration; did you mean 'hidden_size'?",
        ),
        ({"hidden_size": "64"}, "init.config: hidden_size should be a number, not '64'"),
        ({"hidden_size": 64, "num_attention_heads": 5}, "hidden_size 64 is not a multiple of num_attention_heads 5"),
        ({"model_type": "xlnet", "n_layers": 2}, "n_layers is no field of a xlnet configuration"),
        (
            {"model_type": "deberta-v2", "hidden_size": 33, "num_attention_heads": 2},
            "a deberta-v2 model cannot be made",
        ),
        ({"is_decoder": True}, "is_decoder: true has causal attention"),
        ({"pad_token_id": None}, "pad_token_id is null"),
        ({"pad_token_id": 0}, "pad_token_id is 0 and the tokenizer that is trained has 1"),
        ({"vocab_size": 90}, "vocab_size 90 is not that of the tokenizer, 100"),
        ({"hidden_dropout_prob": 5}, "hidden_dropout_prob should be a probability from 0 to below 1, not 5"),
        ({"attention_probs_dropout_prob": -0.1}, "should be a probability"),
        ({"layer_norm_eps": -1}, "layer_norm_eps should be greater than 0"),
        ({"initializer_range": 0}, "initializer_range should be greater than 0"),
        ({"hidden_act": "gelo"}, "a xlm-roberta model cannot be made of these fields"),
        ({"type_vocab_size": 0}, "type_vocab_size should be 1 or more"),
    ],
)
def test_fields_of_a_random_initialisation(data: FakeData, fields: dict[str, Any], message: str) -> None:
    assert message in refused(data, {"init": {"config": fields, "tokenizer": {"vocab_size": 100}}})[0]


def test_the_right_fields_of_other_types_pass(data: FakeData) -> None:
    for fields in (
        {"model_type": "xlnet", "d_model": 32, "n_layer": 2, "n_head": 2},
        {"model_type": "deberta-v2", "relative_attention": True},
    ):
        planned(data, {"init": {"config": fields, "tokenizer": {"vocab_size": 100}}})


def test_a_revision_without_safetensors_is_refused(data: FakeData) -> None:
    messages = refused(data, {"hub": "facebook/xlm-v-base", "revision": "68c75dd7733d2640b3a98114e3e94196dc543fe1"})
    assert "has no safetensors" in messages[0]
    assert "643a987aa713ecd3c9a26a801fc715aa7f56b409" in messages[0]


def test_the_plan_says_which_pins_are_known(data: FakeData) -> None:
    known = {"hub": "FacebookAI/xlm-roberta-large", "revision": "c23d21b0620b635a76227c604d44e43a9f0ee389"}
    graph = planned(data, known).graph
    assert model_rows(graph) == [{**known, "known_to_load": True}]
    assert model_warnings(graph) == []
    graph = planned(data, UNKNOWN).graph
    assert model_rows(graph) == [{**UNKNOWN, "known_to_load": False}]
    assert "not known to hold safetensors" in model_warnings(graph)[0]
    assert "it has no price; give `shape:`" in model_warnings(graph)[1]


def test_a_type_without_an_entry_warns_and_trains_no_mlm(data: FakeData) -> None:
    model = {**UNKNOWN, "shape": {"model_type": "electra", **SHAPE}}
    assert "'electra' has no entry" in model_warnings(planned(data, model).graph)[-1]
    messages = refused(data, {**model, "pretrain": ["mlm"]})
    assert "would begin with a random head" in messages[0]
    planned(
        data, {"init": {"config": {"model_type": "electra"}, "tokenizer": {"vocab_size": 100}}, "pretrain": ["mlm"]}
    )


def test_a_random_head_is_said(data: FakeData) -> None:
    rembert = {"hub": "google/rembert", "revision": "refs/pr/3", "pretrain": ["mlm"]}
    assert "mlm trains a random one" in model_warnings(planned(data, rembert).graph)[0]
    after = expand(declare(models={"some": HUB}, intermediates={"both": {"stages": ["mnli", "mlm"]}}), data).graph
    assert "put mlm first" in model_warnings(after)[-1]
    first = expand(declare(models={"some": HUB}, intermediates={"both": {"stages": ["mlm", "mnli"]}}), data).graph
    assert not any("random" in warning for warning in model_warnings(first))


# --- sizes and prices -------------------------------------------------------------------------------------


def test_a_hub_model_is_priced_by_its_declared_shape(data: FakeData) -> None:
    with_shape = BaseSpec({"hub": "somebody/else", "revision": "x"}, shape={"model_type": "modernbert", **SHAPE})
    assert shape_of(with_shape) is not None
    assert with_shape.key == BaseSpec({"hub": "somebody/else", "revision": "x"}).key
    figures = summarize(
        make_plan(planned(data, {**UNKNOWN, "shape": {"model_type": "bert", **SHAPE}}), {}, "store", [])
    )
    assert figures["gpu_hours"] > 0
    assert "the size of the base model" not in figures["unknown"]


def test_a_hub_model_is_priced_by_its_config_in_the_cache(
    data: FakeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--somebody--else" / "snapshots" / UNKNOWN["revision"]
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **SHAPE}))
    found = shape_of(BaseSpec(dict(UNKNOWN)))
    assert found is not None
    assert (found.layers, found.width) == (2, 64)
    (folder / "config.json").write_text("{")
    assert "is not valid JSON" in refused(data, UNKNOWN)[0]
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    assert "is a decoder" in refused(data, UNKNOWN)[0]


@pytest.mark.parametrize("limits", [Limits(gpu_hours=1.0), Limits(cost=1.0)])
def test_limits_refuse_a_model_without_a_price(data: FakeData, limits: Limits) -> None:
    machines = {"nodes": {"one": {"gpus": 8, "price_per_hour": 9.8, "max_nodes": 1}}}
    plan = make_plan(planned(data, UNKNOWN, cluster=machines), {}, "store", [])
    with pytest.raises(StiltsError, match="the size of a base model is not known"):
        check_limits(plan, None, limits, Console())  # type: ignore[arg-type]


def test_published_recipes_are_told_where_the_plan_differs(data: FakeData) -> None:
    """Multilingual-MiniLM's model card has settings for XNLI."""
    hub = {"hub": "microsoft/Multilingual-MiniLM-L12-H384"}
    (note,) = recipe_notes(planned(data, hub, targets=["xnli"]).graph)
    assert "recipe for xnli has learning_rate 5e-05, batch_size 128, warmup 500, weight_decay 0.001" in note
    assert "(its model card); here: " in note
    own = {"learning_rate": 5e-5, "epochs": 5, "batch_size": 128, "warmup": 500, "weight_decay": 0.001}
    assert recipe_notes(planned(data, hub, targets=["xnli"], recipes={"xnli": own}).graph) == []


@pytest.mark.parametrize("name", sorted(published()))
def test_every_known_model_is_priced_by_its_name(data: FakeData, name: str) -> None:
    """Without a revision, a network or a cache: no plan of it has a size that is not known."""
    one = published()[name]
    expansion = planned(data, {"hub": one.id, "revision": one.revision or "0" * 40})
    plan = make_plan(expansion, {}, "store", [])
    assert all(cost.weight_bytes or cost.resume_bytes or cost.staged_bytes for cost in plan.costs.values())
    assert summarize(plan)["unknown"] == []
