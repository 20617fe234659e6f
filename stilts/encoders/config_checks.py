"""Check the fields of a model's configuration before anything is loaded."""

import reprlib
from collections.abc import Iterator

from stilts.encoders.architectures import Config, architecture
from stilts.encoders.kinds import INSTEAD, kind_problem
from stilts.errors import nearest

_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
_COUNTS = ("max_position_embeddings", "type_vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")
_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps", "initializer_range")
_USUAL = {*_SIZES, *_COUNTS, *_RATES, "model_type", "hidden_act"}
"""Fields that every BERT-like configuration has; others are looked up in transformers' configuration class."""
TOKEN_IDS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
"""Ids of the special tokens in a tokenizer that is trained for a model."""
_ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu", "tanh")
"""Some of transformers' names; others are looked up there."""
_BERT_LIKE = ("bert", "roberta", "xlm-roberta", "camembert", "xlm-roberta-xl")


def config_problems(config: Config) -> list[str]:
    """What is wrong with the fields of a config.json, one message a problem."""
    problem = kind_problem(config)
    if problem is not None:
        return [problem]
    return [*_number_problems(config), *_quantised(config), *_own_code(config)]


def init_problems(config: Config, vocab_size: int) -> list[str]:
    """What is wrong with `init.config`: as `config_problems`, values with which no model learns, values that the
    tokenizer sets, and names that the configuration class does not have.

    Args:
        vocab_size: number of subwords of the tokenizer that is trained for the model.
    """
    settings = {"model_type": "xlm-roberta", **config}
    problems = config_problems(settings) or [*_value_problems(settings), *_token_problems(settings, vocab_size)]
    if problems:
        return problems
    usual = set(settings) <= _USUAL and settings.get("hidden_act", "gelu") in _ACTIVATIONS
    if settings["model_type"] in _BERT_LIKE and usual:
        width, heads = settings.get("hidden_size", 768), settings.get("num_attention_heads", 12)
        if width % heads:
            return [f"hidden_size {width} is not a multiple of num_attention_heads {heads}"]
        return []
    return _build_problems(settings)


def _value_problems(config: Config) -> Iterator[str]:
    """Numbers that a configuration class takes, and with which a model cannot be trained."""
    for name, value in config.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if "dropout" in name and not 0 <= value < 1:
            yield f"{name} should be a probability from 0 to below 1, not {value!r}"
        elif name in ("layer_norm_eps", "initializer_range") and value <= 0:
            yield f"{name} should be greater than 0, not {value!r}"
    if config["model_type"] in _BERT_LIKE and config.get("type_vocab_size", 1) == 0:
        yield "type_vocab_size should be 1 or more, because every token has a type"


def _token_problems(config: Config, vocab_size: int) -> Iterator[str]:
    """Values that do not belong to the tokenizer that is trained for the model."""
    if config.get("vocab_size") not in (None, vocab_size):
        yield (
            f"vocab_size {config['vocab_size']} is not that of the tokenizer, {vocab_size}, which sets it; "
            "leave it out, or change tokenizer.vocab_size"
        )
    for name, id_ in TOKEN_IDS.items():
        if config.get(name) not in (None, id_):
            yield f"{name} is {config[name]} and the tokenizer that is trained has {id_}; leave it out"


_LARGEST = 2**31
"""Largest number in a configuration that is read as a size, count or rate."""


def _number_problems(config: Config) -> Iterator[str]:
    names = architecture(config["model_type"]).names
    for name in (*_SIZES, *_COUNTS, *_RATES):
        for own in {name, names.get(name, name)} & set(config):
            value = config[own]
            if value is None and name == "pad_token_id":
                yield "pad_token_id is null; give the id of the tokenizer's padding token"
            elif value is None or (name == "eos_token_id" and isinstance(value, list)):
                continue
            elif not isinstance(value, int | float) or isinstance(value, bool):
                yield f"{own} should be a number, not {value!r}; mend it"
            elif value > _LARGEST:
                yield f"{own} is larger than any model's ({reprlib.repr(value)}); mend it"
            elif name not in _RATES and (not isinstance(value, int) or value < (1 if name in _SIZES else 0)):
                yield f"{own} should be a whole number of at least {1 if name in _SIZES else 0}, not {value!r}; mend it"
    padding, rows = config.get("pad_token_id"), config.get("vocab_size")
    if isinstance(padding, int) and isinstance(rows, int) and 0 < rows <= padding:
        yield f"pad_token_id {padding} is not below vocab_size {rows}; give the id of the tokenizer's padding token"


def _quantised(config: Config) -> Iterator[str]:
    if config.get("quantization_config"):
        yield "quantization_config: quantised weights cannot be trained; give the checkpoint in fp32, fp16 or bf16"


def _own_code(config: Config) -> Iterator[str]:
    """A class of its own, as jina-embeddings-v3 has: transformers' class of the same type is another model."""
    given = config.get("auto_map")
    own = given.get("AutoModel") if isinstance(given, dict) else None
    if not isinstance(own, str):
        return
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    known = MODEL_MAPPING_NAMES.get(config["model_type"], ())
    name = own.rpartition(".")[2]
    if name not in ((known,) if isinstance(known, str) else known):
        yield (
            f"auto_map: {name} is code that comes with the checkpoint and is never executed, and transformers' own "
            f"{config['model_type']} is another model; {INSTEAD}"
        )


def _build_problems(settings: Config) -> list[str]:
    """Names and values that the configuration class of transformers refuses."""
    import dataclasses

    import torch
    from transformers import AutoConfig, AutoModel

    given = dict(settings)
    kind = given.pop("model_type")
    try:
        found = AutoConfig.for_model(kind)
    except Exception as error:  # a class may refuse its own defaults; nothing can be looked up then
        return [f"transformers makes no configuration of the type {kind!r} ({_first_line(error)})"]
    valid = {field.name for field in dataclasses.fields(type(found))} | set(found.attribute_map) | set(vars(found))
    valid |= set(architecture(kind).undeclared)
    unknown = [name for name in given if name not in valid]
    if unknown:
        return [f"{name} is no field of a {kind} configuration; {_near(name, valid)}" for name in unknown]
    try:
        config = AutoConfig.for_model(kind, **{"pad_token_id": 1, **given})
        with torch.device("meta"):
            AutoModel.from_config(config)
    except Exception as error:  # transformers' and torch's checks raise many kinds; each means that it does not fit
        return [f"a {kind} model cannot be made of these fields: {_first_line(error)}"]
    return []


def _near(name: str, valid: set[str]) -> str:
    hint = nearest(name, sorted(valid))
    return hint if hint.startswith("did you mean") else "see the model's configuration class in transformers"


def _first_line(error: Exception) -> str:
    """The most telling line of a library's message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
