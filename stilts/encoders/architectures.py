"""What stilts must know of a model's architecture that its configuration does not say, one entry a `model_type`.

Sources: the modelling and tokenization files of transformers 5 for each type; `tests/train/test_architectures.py` tries
every fact on tiny models. A type without an entry is taken as BERT-like and padded. Needs no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """The facts of one `model_type`.

    Attributes:
        single, pair: the frame of one text and of two, each piece with its token type: `CLS`, `SEP`, `$A` and `$B`.
        class_last: the class token is the last of a sequence, not the first.
        after_padding: positions count from the padding index + 1, not from 0.
        relative: positions are relative, so that no sequence is too long.
        types: token types are read although the configuration has no `type_vocab_size`.
        languages: language ids are read where the configuration has `use_lang_emb` and several `n_langs`.
        recomputes: transformers can recompute layers in the backward pass (gradient checkpointing).
        packs: attention takes a boolean 4D mask and explicit positions, so that sequences can share a row.
        options: arguments of the encoder's forward pass that are the same for every batch.
        transform: the masked language head has a dense layer and a norm before the tied output weights.
        pretrained_heads: where pretraining checkpoints keep the masked language head, one naming an entry: our
            module or parameter -> theirs. Empty where pretraining had none of this form, or none was published.
        names: configuration fields that are called otherwise: the usual name -> the type's own.
    """

    single: str = "CLS:0 $A:0 SEP:0"
    pair: str = "CLS:0 $A:0 SEP:0 $B:1 SEP:1"
    class_last: bool = False
    after_padding: bool = False
    relative: bool = False
    types: bool = False
    languages: bool = False
    recomputes: bool = True
    packs: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    transform: bool = True
    pretrained_heads: tuple[Mapping[str, str], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


_BERT_HEAD = {
    "dense": "cls.predictions.transform.dense",
    "layer_norm": "cls.predictions.transform.LayerNorm",
    "bias": "cls.predictions.bias",
}

_ROBERTA = Architecture(
    pair="CLS:0 $A:0 SEP:0 SEP:0 $B:0 SEP:0",
    after_padding=True,
    packs=True,
    pretrained_heads=({"dense": "lm_head.dense", "layer_norm": "lm_head.layer_norm", "bias": "lm_head.bias"},),
)

ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture(packs=True, pretrained_heads=(_BERT_HEAD,)),
    "roberta": _ROBERTA,
    # XLM-R, InfoXLM and XLM-V.
    "xlm-roberta": _ROBERTA,
    # Token types, if given, would be looked up as words.
    "xlm": Architecture(
        pair="CLS:0 $A:0 SEP:0 $B:0 SEP:0",
        languages=True,
        recomputes=False,
        transform=False,
        pretrained_heads=({"bias": "pred_layer.proj.bias"},),
        names={"num_hidden_layers": "n_layers", "hidden_size": "emb_dim"},
    ),
    # The published checkpoint comes without its output embeddings: a language head starts afresh on the input's.
    "rembert": Architecture(),
    # DeBERTa-v3 and mDeBERTa were pretrained to find replaced tokens: their language head is of little worth.
    "deberta-v2": Architecture(
        pretrained_heads=(
            {
                "dense": "lm_predictions.lm_head.dense",
                "layer_norm": "lm_predictions.lm_head.LayerNorm",
                "bias": "lm_predictions.lm_head.bias",
            },
            _BERT_HEAD,
        ),
    ),
    # Pretrained on permutations, without a mask token in its input: a language head starts afresh.
    "xlnet": Architecture(
        single="$A:0 SEP:0 CLS:2",
        pair="$A:0 SEP:0 $B:1 SEP:1 CLS:2",
        class_last=True,
        relative=True,
        types=True,
        recomputes=False,
        options={"use_mems": False},
        names={"num_hidden_layers": "n_layer", "hidden_size": "d_model", "intermediate_size": "d_inner"},
    ),
}

_UNLISTED = Architecture()


def architecture(model_type: str) -> Architecture:
    """The facts of a model type; BERT's frame and a padded batch where it has no entry."""
    return ARCHITECTURES.get(model_type, _UNLISTED)


def max_tokens(config: Mapping[str, Any]) -> int | None:
    """Most tokens of one sequence by a configuration's fields; None where positions are relative."""
    facts = architecture(config["model_type"])
    limit = config.get("max_position_embeddings")
    if limit is None or facts.relative or not config.get("position_biased_input", True):
        return None
    return limit - config["pad_token_id"] - 1 if facts.after_padding else limit
