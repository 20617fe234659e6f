"""Which model types are accepted: what transformers itself makes of each decides."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from stilts.encoders.architectures import architectures
from stilts.encoders.kinds import kind_problem, kind_warning

DECODERS = ("gpt2", "llama", "qwen3", "mistral", "gemma2", "opt", "bloom", "openai-gpt", "xglm", "phi3", "olmo2")
BOTH = ("t5", "mt5", "umt5", "bart", "mbart", "pegasus", "m2m_100", "mvp", "led", "blenderbot")
NEITHER = ("canine", "vit", "clip", "whisper", "wav2vec2", "layoutlmv3", "fnet", "perceiver", "reformer")


@pytest.mark.parametrize("kind", DECODERS)
def test_decoders_are_refused(kind: str) -> None:
    assert "is a decoder: under its causal mask" in str(kind_problem({"model_type": kind}))


@pytest.mark.parametrize("kind", BOTH)
def test_encoder_decoders_are_refused(kind: str) -> None:
    assert "is an encoder-decoder" in str(kind_problem({"model_type": kind}))


@pytest.mark.parametrize("kind", NEITHER)
def test_what_is_no_encoder_of_text_is_refused(kind: str) -> None:
    assert kind_problem({"model_type": kind})


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "bert", "is_decoder": True},
        {"model_type": "xlm-roberta", "is_decoder": True},
        {"model_type": "electra", "is_decoder": True},
        {"model_type": "roberta", "is_encoder_decoder": True},
        {"model_type": "xlnet", "attn_type": "uni"},
        {"model_type": "xlm", "causal": True},
        {"model_type": "xlm", "is_encoder": False},
        {"model_type": "eurobert", "is_causal": True},
    ],
)
def test_causal_variants_of_encoders_are_refused(config: dict[str, object]) -> None:
    problem = str(kind_problem(config))
    assert "causal attention" in problem or "encoder-decoder" in problem
    assert "; give an encoder" in problem
    assert kind_problem({"model_type": config["model_type"]}) is None


@pytest.mark.parametrize("config", [{}, {"model_type": None}, {"model_type": ""}, {"model_type": ["bert"]}])
def test_a_type_must_be_there(config: dict[str, object]) -> None:
    assert "has no model_type" in str(kind_problem(config))


def test_a_type_of_nobody_is_refused() -> None:
    assert "is not a model type of the installed transformers" in str(kind_problem({"model_type": "new"}))


def test_types_without_an_entry_warn() -> None:
    assert "'electra' has no entry" in str(kind_warning({"model_type": "electra"}))
    assert all(kind_warning({"model_type": kind}) is None for kind in architectures())
    assert kind_warning({"model_type": "gpt2"}) is None, "it is refused instead"


PROBED = sorted(set(MODEL_FOR_MASKED_LM_MAPPING_NAMES) - {"esm", "esmc", "funnel", "neomme", "ultrabert"})
"""Types of which a tiny model can be made with the usual fields."""


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for kind in PROBED if kind_problem({"model_type": kind}) is None])
def test_accepted_types_see_the_whole_text_and_no_padding(kind: str) -> None:
    """The first token's state depends on the last token, and does not depend on padding."""
    sizes = {"vocab_size": 100, "max_position_embeddings": 66, "pad_token_id": 1, "head_dim": 16}
    sizes |= dict.fromkeys(("hidden_size", "d_model", "dim", "emb_dim", "embedding_size"), 32)
    sizes |= dict.fromkeys(("num_hidden_layers", "n_layers", "n_layer"), 2)
    sizes |= dict.fromkeys(("num_attention_heads", "n_heads", "n_head", "num_key_value_heads"), 2)
    sizes |= dict.fromkeys(("intermediate_size", "hidden_dim", "d_inner"), 64)
    default = AutoConfig.for_model(kind)
    config = AutoConfig.for_model(kind, **{name: value for name, value in sizes.items() if hasattr(default, name)})
    if kind == "xmod":
        config.default_language = config.languages[0]
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    ids = torch.arange(4, 14)[None]
    changed = torch.cat([ids[:, :-1], torch.tensor([[50]])], 1)
    padded = torch.cat([ids, torch.ones(1, 3, dtype=torch.long)], 1)

    def first(tokens: torch.Tensor, length: int) -> torch.Tensor:
        mask = (torch.arange(tokens.shape[1]) < length)[None].long()
        return model(input_ids=tokens, attention_mask=mask).last_hidden_state[0, 0]

    assert not torch.allclose(first(ids, 10), first(changed, 10), atol=1e-4)
    assert torch.allclose(first(ids, 10), first(padded, 10), atol=1e-4)


def test_a_known_type_is_accepted_without_transformers() -> None:
    code = (
        "import sys; from stilts.encoders.kinds import kind_problem; "
        "assert kind_problem({'model_type': 'bert'}) is None; "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
