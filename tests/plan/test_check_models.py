"""What a base model cannot do is said in the plan."""

from typing import Any

import pytest

from stilts.errors import Problems
from stilts.plan.expand import expand
from tests.plan.conftest import HUB, FakeData, declare


def planned(data: FakeData, model: dict[str, Any], **fields: Any) -> None:
    expand(declare(models={"some": model}, intermediates=["none", "squad"], **fields), data)


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
