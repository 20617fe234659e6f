"""The registry of encoder architectures: one file per `model_type` in `stilts/encoders/library`.

An entry says what stilts must know about an architecture and cannot read from a checkpoint's config.json: the special
tokens around a text, how attention masks and positions work, where pretraining keeps the masked language modelling
head, how many parameters a layer has, and which published checkpoints are known. To add an architecture, add one file
to the library; it is found by itself. `tests/encoders/test_library.py` and `tests/train/test_architectures.py` compare
the entries with transformers' own models.

A model type without an entry is treated as BERT-like and its batches are padded (see `stilts/encoders/kinds.py` for
which types are accepted at all). Importing this module needs no torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from stilts.discovery import import_modules

Config = Mapping[str, Any]
"""The fields of a config.json."""


@dataclass(frozen=True)
class Published:
    """A checkpoint on the Hugging Face hub.

    Attributes:
        id: hub id.
        config: the fields of its config.json that determine its size and its number of positions.
        revision: the commit (or the name of a pull request, `refs/pr/N`) that holds safetensors; None if unknown.
        commit: the first digits of the commit that a `refs/pr/N` pointed to when it was seen.
        seen: when and by what it was seen that the revision holds safetensors; empty if that was only inferred.
        without: revisions that were seen to hold no safetensors.
        recipes: fields of the recipe with which it was fine-tuned for published scores, by training task.
        recipe_source: where these were published; empty if nothing was found.
    """

    id: str
    config: Config
    revision: str | None = None
    commit: str = ""
    seen: str = ""
    without: tuple[str, ...] = ()
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    recipe_source: str = ""


def _four(config: Config) -> float:
    return 4


def _none(config: Config) -> tuple[int, int]:
    return 0, 0


@dataclass(frozen=True)
class Architecture:
    """What stilts knows about one `model_type`.

    Attributes:
        model_type: the name that config.json and transformers use.
        single, pair: the layout of one text and of two texts, each piece with its token type. `CLS` and `SEP` are
            special tokens, `$A` and `$B` the texts.
        class_last: the class token is the last token of a sequence instead of the first.
        after_padding: positions count from the padding index + 1 instead of 0, as in RoBERTa, so that a table of 514
            positions holds sequences of 512 tokens.
        relative: there is no table of positions, and the length of a sequence has no limit.
        rotary: positions are rotations, without a table: `max_position_embeddings` is the length seen in pretraining.
        types: token types are passed although the configuration has no `type_vocab_size`.
        languages: how language ids are passed: `tokens`: an id per token in `langs` (XLM, where the configuration has
            `use_lang_emb`); `sequences`: an id per sequence in `lang_ids` (X-MOD); empty: not at all.
        recomputes: transformers supports gradient checkpointing.
        packs: attention goes through transformers' attention interface and positions can be given, so that several
            sequences can share a row (see `stilts/train/attention.py`).
        options: arguments of the encoder's forward pass that are the same for every batch.
        transform: the masked language modelling head has a dense layer and a norm before the output layer.
        epsilon: the configuration field with the epsilon of the head's norm.
        pretrained_heads: where pretraining checkpoints keep the masked language modelling head. Each mapping is one
            way of naming: module or parameter of stilts' head (`dense`, `layer_norm`, `bias`, `weight`) -> theirs.
            `weight` is read only where the output layer is not tied to the input embeddings. Empty where pretraining
            had no head of this form, or where none was published.
        optional_biases: a bias that the checkpoint does not have starts at zero, which leaves the head's function
            unchanged (ModernBERT's layers have none).
        tied: whether the output layer is tied to the input embeddings where the configuration does not say so.
        names: configuration fields whose name differs from the usual one: usual name -> the type's own.
        undeclared: configuration fields that the model reads although its configuration class does not declare them.
        attention_matrices: number of width x width matrices in a layer's attention, from the configuration.
        feed_forward_matrices: 2, or 3 where the feed-forward layer is gated.
        extra: parameters beside layers and embeddings, from the configuration: (those that every token uses, those
            of which a token uses a small part).
        windowed: layers in which a token attends to a window only, from the configuration: (number of these layers,
            tokens of the window).
        frozen: pattern of the names of the parameters that fine-tuning leaves as they are, such as X-MOD's embeddings
            and adapters; empty if it trains all. Masked language modelling trains all.
        causal: configuration fields and values that make attention causal: such a checkpoint is refused.
        published: known checkpoints.
    """

    model_type: str = ""
    single: str = "CLS:0 $A:0 SEP:0"
    pair: str = "CLS:0 $A:0 SEP:0 $B:1 SEP:1"
    class_last: bool = False
    after_padding: bool = False
    relative: bool = False
    rotary: bool = False
    types: bool = False
    languages: Literal["", "tokens", "sequences"] = ""
    recomputes: bool = True
    packs: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    transform: bool = True
    epsilon: str = "layer_norm_eps"
    pretrained_heads: tuple[Mapping[str, str], ...] = ()
    optional_biases: bool = False
    tied: bool = True
    names: Mapping[str, str] = field(default_factory=dict)
    undeclared: tuple[str, ...] = ()
    attention_matrices: Callable[[Config], float] = _four
    feed_forward_matrices: int = 2
    extra: Callable[[Config], tuple[int, int]] = _none
    windowed: Callable[[Config], tuple[int, int]] = _none
    frozen: str = ""
    causal: Mapping[str, Any] = field(default_factory=lambda: {"is_decoder": True})
    published: tuple[Published, ...] = ()

    def size(self, config: Config, name: str, otherwise: int) -> int:
        """A size in the configuration by its usual name (`hidden_size`), or `otherwise` if it is not given."""
        return int(config.get(self.names.get(name, name), config.get(name, otherwise)))


AFTER_PADDING = frozenset(
    (
        *("camembert", "data2vec-text", "esm", "ibert", "longformer", "luke", "mpnet", "roberta"),
        *("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
    )
)
"""Model types of transformers that count positions from the padding index + 1, with or without an entry."""


def register(entry: Architecture) -> Architecture:
    """Add an entry to the registry.

    Raises:
        ValueError: the model type has an entry already.
    """
    if entry.model_type in _ENTRIES:
        raise ValueError(f"two entries for the model type {entry.model_type!r} in stilts/encoders/library")
    _ENTRIES[entry.model_type] = entry
    return entry


_ENTRIES: dict[str, Architecture] = {}


@cache
def architectures() -> Mapping[str, Architecture]:
    """All entries of the library by model type."""
    import_modules("stilts.encoders.library")
    return dict(_ENTRIES)


@cache
def architecture(model_type: str) -> Architecture:
    """The entry of a model type; of a type without an entry, BERT's layout, padded batches and no known head."""
    found = architectures().get(model_type)
    return found or Architecture(model_type=model_type, after_padding=model_type in AFTER_PADDING)


@cache
def published() -> Mapping[str, Published]:
    """All known checkpoints by the last part of their hub id, in lower case."""
    return {one.id.rpartition("/")[2].lower(): one for entry in architectures().values() for one in entry.published}


def max_tokens(config: Config) -> int | None:
    """The most tokens that one sequence can have; None where positions are relative or nothing limits them."""
    facts = architecture(config["model_type"])
    limit = config.get("max_position_embeddings")
    if limit is None or facts.relative or not config.get("position_biased_input", True):
        return None
    return limit - config["pad_token_id"] - 1 if facts.after_padding else limit
