"""The hidden states of a layer are those of a whole forward pass, and the layers above it do not run."""

from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from stilts.train.hidden import LayerStates
from tests.train.checkpoints import CONFIGS

DEPTH = 4
SIZES = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 100, "pad_token_id": 1}
OTHERS: dict[str, dict[str, Any]] = {
    "albert": {**SIZES, "embedding_size": 16},
    "electra": SIZES,
    "modernbert": {**SIZES, "eos_token_id": 2, "bos_token_id": 0, "cls_token_id": 0, "sep_token_id": 2},
    "roberta-prelayernorm": SIZES,
    "xmod": {**SIZES, "languages": ["en_XX"], "default_language": "en_XX"},
    "distilbert": {"dim": 32, "n_heads": 2, "hidden_dim": 64, "vocab_size": 100, "n_layers": DEPTH},
    "mpnet": SIZES,
}
KINDS = (*CONFIGS, *OTHERS)
_DEPTH = {"xlm": "n_layers", "xlnet": "n_layer", "distilbert": "n_layers"}


def encoder_of(kind: str) -> nn.Module:
    torch.manual_seed(0)
    settings = {**(CONFIGS.get(kind) or OTHERS[kind]), _DEPTH.get(kind, "num_hidden_layers"): DEPTH}
    return AutoModel.from_config(AutoConfig.for_model(kind, **{"vocab_size": 100, **settings})).eval()


def inputs_of(width: int, real: int, seed: int = 0) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 100, (3, width), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[-1, real:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def calls_of(encoder: nn.Module, run) -> int:
    """Number of calls of linear layers during `run`."""
    calls = 0

    def count(*args: Any) -> None:
        nonlocal calls
        calls += 1

    hooks = [m.register_forward_hook(count) for m in encoder.modules() if isinstance(m, nn.Linear)]
    run()
    for hook in hooks:
        hook.remove()
    return calls


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_of_every_encoder(kind: str):
    encoder = encoder_of(kind)
    states = LayerStates(encoder)
    with torch.no_grad():
        counts = []
        for layer in range(DEPTH + 1):
            for number, inputs in enumerate((inputs_of(7, 5), inputs_of(9, 9, 1), inputs_of(6, 2, 2))):
                wanted = encoder(**inputs, output_hidden_states=True).hidden_states[layer]
                real = inputs["attention_mask"].bool()
                run = lambda inputs=inputs, **options: encoder(**inputs, **options)  # noqa: E731
                got = states(layer, DEPTH, run)
                assert torch.equal(got[real], wanted[real])
                if number == 2:
                    counts.append(calls_of(encoder, lambda run=run, layer=layer: states(layer, DEPTH, run)))
        assert counts == sorted(set(counts))  # each layer takes more than the one below it


def test_a_state_that_no_module_reads_is_taken_from_a_whole_pass():
    class Scaled(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, **inputs: Any) -> Any:
            found = self.inner(**inputs)
            if found.hidden_states is not None:
                found.hidden_states = tuple(2 * states for states in found.hidden_states)
            return found

    encoder = Scaled(encoder_of("bert")).eval()
    states = LayerStates(encoder)
    with torch.no_grad():
        for seed in range(2):
            inputs = inputs_of(7, 5, seed)
            wanted = encoder(**inputs, output_hidden_states=True).hidden_states[2]
            got = states(2, DEPTH, lambda inputs=inputs, **options: encoder(**inputs, **options))
            assert torch.equal(got, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_inference_leaves_nothing_behind_that_training_cannot_use(kind: str):
    encoder, inputs = encoder_of(kind), inputs_of(7, 5)
    with torch.inference_mode():
        encoder(**inputs)
    encoder.train()(**inputs).last_hidden_state.sum().backward()
    assert encoder.get_input_embeddings().weight.grad is not None
