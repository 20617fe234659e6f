"""Which model types can be trained here: encoders that read a whole text in both directions.

A type with an entry in `stilts/encoders/library` is accepted. Of the others, transformers' own tables of models decide:
a type that is known there for masked language modelling is accepted with a warning, and everything else is refused.
"""

from functools import cache

from stilts.encoders.architectures import Config, architecture, architectures

INSTEAD = "give an encoder such as XLM-R, mBERT, mmBERT or EuroBERT"

_UNSUITABLE = {
    **dict.fromkeys(("convbert", "fnet", "nystromformer", "yoso"), "padding changes its outputs"),
    "mra": "its attention needs kernels of its own",
    "perceiver": "its inputs are bytes in an array of latent vectors",
    "reformer": "its sequences have fixed lengths",
    "modernvbert": "it reads images",
    "ultravbert": "it reads images",
    "tapas": "it reads tables",
    "layoutlm": "it reads the layout of pages",
}
"""Types that transformers lists for masked language modelling and that cannot be used like BERT."""


def kind_problem(config: Config) -> str | None:
    """Why a model of this configuration cannot be trained here and what to do, in one line; None if it can."""
    kind = config.get("model_type") or ""
    if not isinstance(kind, str) or not kind:
        return "config.json has no model_type; add the one of the model's transformers class, such as xlm-roberta"
    if config.get("is_encoder_decoder"):
        return f"{kind!r} with is_encoder_decoder is an encoder-decoder; {INSTEAD}"
    for name, value in {**architecture(kind).causal, "is_decoder": True, "is_causal": True}.items():
        if config.get(name) == value:
            return (
                f"{kind!r} with {name}: {str(value).lower()} has causal attention: its first token does not see the "
                f"text; {INSTEAD}, or the checkpoint without that field if it was trained in both directions"
            )
    return None if kind in architectures() else _unlisted_problem(kind)


def kind_warning(config: Config) -> str | None:
    """What is not known of an accepted model type; None if it has an entry."""
    kind = config.get("model_type")
    if kind in architectures() or kind_problem(config) is not None:
        return None
    return (
        f"the model type {kind!r} has no entry in stilts/encoders/library: it is treated as BERT-like, its batches are "
        "padded, and stages of mlm are refused; compare its first results with published ones"
    )


def _unlisted_problem(kind: str) -> str | None:
    known, masked, decoders, both = _transformers_types()
    if kind in both:
        return f"{kind!r} is an encoder-decoder; {INSTEAD}"
    if kind in _UNSUITABLE:
        return f"{kind!r} cannot be trained here: {_UNSUITABLE[kind]}; {INSTEAD}"
    if kind in masked:
        return None
    if kind in decoders:
        return f"{kind!r} is a decoder: under its causal mask the first token does not see the text; {INSTEAD}"
    if kind in known:
        return f"{kind!r} is no encoder of text with a masked language modelling head in transformers; {INSTEAD}"
    return (
        f"{kind!r} is not a model type of the installed transformers (code that comes with a checkpoint is never "
        f"executed); mend model_type in config.json, update transformers, or {INSTEAD}"
    )


@cache
def _transformers_types() -> tuple[frozenset[str], frozenset[str], frozenset[str], frozenset[str]]:
    """All model types, those for masked language modelling, decoders, and encoder-decoders, of transformers' tables."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    tables = (
        CONFIG_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )
    known, masked, decoders, both = (frozenset(table) for table in tables)
    return known, masked, decoders, both
