"""Check the fields of a model's configuration before anything is loaded."""

from collections.abc import Iterator

from stilts.encoders.architectures import Config, architecture
from stilts.encoders.kinds import kind_problem
from stilts.errors import nearest

_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
_COUNTS = ("max_position_embeddings", "type_vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")
_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps", "initializer_range")
_USUAL = {*_SIZES, *_COUNTS, *_RATES, "model_type", "hidden_act"}
"""Fields that every BERT-like configuration has; others are looked up in transformers' configuration class."""
_BERT_LIKE = ("bert", "roberta", "xlm-roberta", "camembert", "xlm-roberta-xl")


def config_problems(config: Config) -> list[str]:
    """What is wrong with the fields of a config.json, one message a problem."""
    problem = kind_problem(config)
    if problem is not None:
        return [problem]
    return [*_number_problems(config), *_quantised(config)]


def init_problems(config: Config) -> list[str]:
    """What is wrong with `init.config`: as `config_problems`, and names that the configuration class does not have."""
    settings = {"model_type": "xlm-roberta", **config}
    problems = config_problems(settings)
    if problems:
        return problems
    if settings["model_type"] in _BERT_LIKE and set(settings) <= _USUAL:
        width, heads = settings.get("hidden_size", 768), settings.get("num_attention_heads", 12)
        if width % heads:
            return [f"hidden_size {width} is not a multiple of num_attention_heads {heads}"]
        return []
    return _build_problems(settings)


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
            elif name not in _RATES and (not isinstance(value, int) or value < (1 if name in _SIZES else 0)):
                yield f"{own} should be a whole number of at least {1 if name in _SIZES else 0}, not {value!r}; mend it"
    padding, rows = config.get("pad_token_id"), config.get("vocab_size")
    if isinstance(padding, int) and isinstance(rows, int) and 0 < rows <= padding:
        yield f"pad_token_id {padding} is not below vocab_size {rows}; give the id of the tokenizer's padding token"


def _quantised(config: Config) -> Iterator[str]:
    if config.get("quantization_config"):
        yield "quantization_config: quantised weights cannot be trained; give the checkpoint in fp32, fp16 or bf16"


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
