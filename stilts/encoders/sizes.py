"""The size of an encoder, computed from its configuration.

`tests/encoders/test_sizes.py` compares the sizes with models that transformers builds from the same configurations.
"""

from dataclasses import dataclass

from stilts.encoders.architectures import Architecture, Config, architecture
from stilts.encoders.configs import config_of
from stilts.identity.stage import BaseSpec


@dataclass(frozen=True)
class Shape:
    """Size of an encoder: number of layers, width, and numbers of parameters.

    Attributes:
        layer_parameters: parameters that every token passes through.
        embedding_parameters: parameters of which a token reads a few rows: embeddings, adapters of other languages.
        vocabulary: number of subwords.
        packs: whether several sequences can share a row of tokens.
        windowed: layers in which a token attends to a window only, and the tokens of the window.
    """

    layers: int
    width: int
    layer_parameters: int
    embedding_parameters: int
    vocabulary: int = 250_002
    packs: bool = True
    windowed: tuple[int, int] = (0, 0)

    @property
    def parameters(self) -> int:
        return self.layer_parameters + self.embedding_parameters

    def flops_per_token(self, length: float, *, training: bool, predicted: float = 0.0) -> float:
        """Floating-point operations for one token in a sequence of this length, without those of relative positions.

        Args:
            predicted: share of the tokens that a masked language modelling head scores against the whole vocabulary.
        """
        parameters = self.layer_parameters + predicted * self.embedding_parameters
        local, window = self.windowed
        seen = (self.layers - local) * length + local * min(length, window)
        both = 6 * parameters + 12 * self.width * seen
        return both if training else both / 3


def shape_of(base: BaseSpec) -> Shape | None:
    """The size of a base model; None where its configuration is not known before it is downloaded."""
    config = config_of(base)
    return None if config is None else shape(config)


def shape(config: Config) -> Shape:
    """The size by the fields of a config.json. Fields that are not given take XLM-R base's values."""
    facts = architecture(config.get("model_type", "xlm-roberta"))
    layers, width = facts.size(config, "num_hidden_layers", 12), facts.size(config, "hidden_size", 768)
    inner = facts.size(config, "intermediate_size", 4 * width)
    layer = round(facts.attention_matrices(config) * width * width) + facts.feed_forward_matrices * width * inner
    always, partly = facts.extra(config)
    return Shape(
        layers=layers,
        width=width,
        layer_parameters=layers * layer + always,
        embedding_parameters=_embeddings(config, facts, width) + partly,
        vocabulary=config.get("vocab_size", 250_002),
        packs=facts.packs,
        windowed=facts.windowed(config),
    )


def _embeddings(config: Config, facts: Architecture, width: int) -> int:
    """Embeddings of words, positions and languages, and the projection to the layers' width where they are narrower."""
    rows = config.get("vocab_size", 250002) + _positions(config, facts)
    if facts.languages == "tokens" and config.get("use_lang_emb", True) and config.get("n_langs", 1) > 1:
        rows += config["n_langs"]
    narrow = config.get("input_embedding_size", config.get("embedding_size", width))
    return rows * narrow + (narrow * width if narrow != width else 0)


def _positions(config: Config, facts: Architecture) -> int:
    if facts.relative or facts.rotary or not config.get("position_biased_input", True):
        return 0
    return config.get("max_position_embeddings", 514 if facts.after_padding else 512)
