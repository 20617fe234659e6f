"""Shapes: how large an encoder is, from its configuration alone.

Sizes of published models are their configurations' fields; `tests/encoders/test_sizes.py` compares them with models
built from those configurations without weights.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stilts.encoders.architectures import architecture
from stilts.identity.stage import BaseSpec


@dataclass(frozen=True)
class Shape:
    """Size of an encoder: layers, width, and parameters in the layers and in the embeddings."""

    layers: int
    width: int
    layer_parameters: int
    embedding_parameters: int

    @property
    def parameters(self) -> int:
        return self.layer_parameters + self.embedding_parameters

    def flops_per_token(self, length: float, *, training: bool, predicted: float = 0.0) -> float:
        """Operations of one token in a sequence of this length (relative positions not counted).

        Args:
            predicted: share of the tokens that a masked language head scores against the whole vocabulary.
        """
        parameters = self.layer_parameters + predicted * self.embedding_parameters
        both = 6 * parameters + 12 * self.layers * self.width * length
        return both if training else both / 3


def _sizes(kind: str, layers: int, width: int, vocabulary: int, **more: Any) -> dict[str, Any]:
    facts = architecture(kind)
    fields = {"num_hidden_layers": layers, "hidden_size": width}
    return {
        "model_type": kind,
        "vocab_size": vocabulary,
        "pad_token_id": 1,
        **({} if facts.relative else {"max_position_embeddings": 514 if facts.after_padding else 512}),
        **{facts.names.get(name, name): value for name, value in fields.items()},
        **more,
    }


_XLM_R = {
    "base": _sizes("xlm-roberta", 12, 768, 250002),
    "large": _sizes("xlm-roberta", 24, 1024, 250002),
}
_XNLI_15 = _sizes("xlm", 12, 1024, 95000, n_langs=15, use_lang_emb=True)

HUB: Mapping[str, Mapping[str, Any]] = {
    "xlm-roberta-base": _XLM_R["base"],
    "xlm-roberta-large": _XLM_R["large"],
    "infoxlm-base": _XLM_R["base"],
    "infoxlm-large": _XLM_R["large"],
    "xlm-v-base": _sizes("xlm-roberta", 12, 768, 901629),
    "bert-base-multilingual-cased": _sizes("bert", 12, 768, 119547),
    "xlm-mlm-17-1280": _sizes("xlm", 16, 1280, 200000, n_langs=17, use_lang_emb=False),
    "xlm-mlm-100-1280": _sizes("xlm", 16, 1280, 200000, n_langs=100, use_lang_emb=False),
    "xlm-mlm-xnli15-1024": _XNLI_15,
    "xlm-mlm-tlm-xnli15-1024": _XNLI_15,
    "rembert": _sizes("rembert", 32, 1152, 250300, input_embedding_size=256),
    "mdeberta-v3-base": _sizes(
        "deberta-v2",
        12,
        768,
        251000,
        relative_attention=True,
        share_att_key=True,
        position_buckets=256,
        position_biased_input=False,
    ),
    "roberta-base": _sizes("roberta", 12, 768, 50265),
    "roberta-large": _sizes("roberta", 24, 1024, 50265),
    "xlnet-base-cased": _sizes("xlnet", 12, 768, 32000),
    "xlnet-large-cased": _sizes("xlnet", 24, 1024, 32000),
}
"""Fields of published configurations, by the last part of the hub id."""


def config_of(base: BaseSpec) -> Mapping[str, Any] | None:
    """A base model's configuration from its declaration or files, with what it leaves to defaults that matter here;
    None for a hub id that is not known offline."""
    identity = base.identity
    if "init" in identity:
        init = identity["init"]
        # The defaults of `train/base.py`.
        defaults = {"model_type": "xlm-roberta", "pad_token_id": 1, "max_position_embeddings": 514}
        return {**defaults, "vocab_size": init["tokenizer"]["vocab_size"], **init["config"]}
    if base.source is not None:
        return {"model_type": "", "pad_token_id": 0, **json.loads((Path(base.source) / "config.json").read_text())}
    return HUB.get(identity["hub"].rpartition("/")[2].lower())


def shape_of(base: BaseSpec) -> Shape | None:
    """Shape of a base model from its declaration or files; None for a hub id that is not known offline."""
    config = config_of(base)
    return None if config is None else shape(config)


def shape(config: Mapping[str, Any]) -> Shape:
    """Shape from the fields of a transformers config; XLM-R base's where they are not given."""
    names = architecture(config.get("model_type", "xlm-roberta")).names

    def size(name: str, otherwise: int) -> int:
        return config.get(names.get(name, name), config.get(name, otherwise))

    layers, width = size("num_hidden_layers", 12), size("hidden_size", 768)
    layer = _attention_matrices(config) * width * width + 2 * width * size("intermediate_size", 4 * width)
    return Shape(
        layers=layers,
        width=width,
        layer_parameters=layers * layer + _relative_embeddings(config, width),
        embedding_parameters=_embeddings(config, width),
    )


def _attention_matrices(config: Mapping[str, Any]) -> int:
    """Square matrices of a layer's attention: query, key, value and output, and those of relative positions."""
    if config.get("model_type") == "xlnet":
        return 5
    if config.get("relative_attention") and not config.get("share_att_key"):
        return 4 + sum(kind in (config.get("pos_att_type") or ()) for kind in ("c2p", "p2c"))
    return 4


def _relative_embeddings(config: Mapping[str, Any], width: int) -> int:
    """DeBERTa's table of distances."""
    if not config.get("relative_attention"):
        return 0
    distances = (config.get("position_buckets", -1), config.get("max_relative_positions", -1))
    return 2 * width * next((d for d in distances if d > 0), config.get("max_position_embeddings", 512))


def _embeddings(config: Mapping[str, Any], width: int) -> int:
    """Words, positions and languages; narrower than the layers where the configuration says so (RemBERT)."""
    rows = config.get("vocab_size", 250002) + _positions(config)
    if config.get("use_lang_emb", True) and config.get("n_langs", 1) > 1:
        rows += config["n_langs"]
    narrow = config.get("input_embedding_size", config.get("embedding_size", width))
    return rows * narrow + (narrow * width if narrow != width else 0)


def _positions(config: Mapping[str, Any]) -> int:
    facts = architecture(config.get("model_type", "xlm-roberta"))
    if facts.relative or not config.get("position_biased_input", True):
        return 0
    return config.get("max_position_embeddings", 514 if facts.after_padding else 512)
