"""Check a base model's checkpoint before it is trained on: configuration, tensors and tokenizer.

Only headers of weight files are read. Every problem is one line that names the file and says what to do.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stilts.encoders.architectures import Config
from stilts.encoders.checkpoint_files import (
    CONFIG,
    INDEX,
    WEIGHTS,
    Tensor,
    local_checkpoint_problems,
    read_tensors,
)
from stilts.encoders.config_checks import config_problems
from stilts.encoders.configs import read_config
from stilts.encoders.tokenizer_files import tokenizer_problems
from stilts.errors import StiltsError

_FLOATS = ("F64", "F32", "F16", "BF16")
_BUFFERS = re.compile(r"(?:^|\.)(?:position_ids|token_type_ids|num_batches_tracked)$")
_SHOWN = 3


def checkpoint_problems(folder: Path, tensors: Mapping[str, Tensor] | None = None) -> list[str]:
    """Everything that keeps a checkpoint folder from being trained on; empty if nothing does.

    Args:
        tensors: by name, where the weights are not in the folder; else they are read from its files.
    """
    problems = local_checkpoint_problems(folder, weights=tensors is None)
    weights_read = tensors is not None
    if tensors is None and not any("safetensors" in problem or "pickle" in problem for problem in problems):
        try:
            tensors, weights_read = read_tensors(folder), True
        except StiltsError as error:
            problems.append(str(error))
    if not (folder / CONFIG).is_file():
        return problems
    try:
        config = read_config(folder / CONFIG)
    except StiltsError as error:
        return [*problems, str(error)]
    wrong = [f"{folder / CONFIG}: {problem}" for problem in config_problems(config)]
    found = dict(tensors or {}) if weights_read else {}
    stored = list(_stored(folder, found))
    if weights_read and not found:
        stored.append(f"{_weights(folder)} holds no tensors; download it again")
    if not wrong and found and not stored:
        stored = _fit_problems(folder, config, found)
    tokens = tokenizer_problems(folder, config, _rows(found)) if not wrong else []
    return list(dict.fromkeys([*problems, *wrong, *stored, *tokens]))


def _stored(folder: Path, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Tensors that are not floating-point numbers."""
    odd = [name for name, tensor in tensors.items() if tensor.dtype not in _FLOATS and not _BUFFERS.search(name)]
    if odd:
        kind = tensors[odd[0]].dtype
        yield (
            f"{_weights(folder)}: {len(odd)} tensors are {kind}, quantised ({odd[0]} ...), which cannot be trained; "
            "give the checkpoint in fp32, fp16 or bf16"
        )


def _rows(tensors: Mapping[str, Tensor]) -> int | None:
    """Rows of the word embeddings, by the names that encoders give them."""
    names = re.compile(
        r"(?:word_embeddings?|word_embedding|embed_tokens|tok_embeddings|^(?:transformer\.)?embeddings)\.weight$"
    )
    return next((tensor.shape[0] for name, tensor in tensors.items() if names.search(name) and tensor.shape), None)


def _weights(folder: Path) -> Path:
    return folder / (INDEX if (folder / INDEX).is_file() and not (folder / WEIGHTS).is_file() else WEIGHTS)


def _fit_problems(folder: Path, config: Config, tensors: Mapping[str, Tensor]) -> list[str]:
    """Differences between the tensors and the encoder that the configuration describes, and signs of another type."""
    mismatch = _other_type(config, tensors)
    if mismatch is not None:
        return [f"{folder / CONFIG}: {mismatch}"]
    try:
        missing, wrong, beyond = _compare(config, tensors)
    except Exception as error:  # transformers' and torch's checks raise many kinds; each means that it does not fit
        reason = next(
            (line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__
        )
        return [f"{folder / CONFIG}: transformers makes no model of these fields: {reason[:300]}; mend them"]
    kind = config["model_type"]
    found = []
    if wrong:
        name, there, wanted = wrong[0]
        found.append(
            f"{_weights(folder)}: {len(wrong)} tensors have another shape than {CONFIG} says ({name} is "
            f"{list(there)}, not {list(wanted)}); give both files of one model"
        )
    if beyond:
        found.append(
            f"{folder / CONFIG}: the weights have {len(beyond)} tensors of layers that it does not have ({beyond[0]} "
            "...); give both files of one model"
        )
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (" ..." if len(missing) > _SHOWN else "")
        found.append(
            f"{_weights(folder)}: {len(missing)} tensors of a {kind} encoder are missing ({shown}) and would be "
            "random; download the checkpoint again, or mend model_type"
        )
    return found


def _compare(
    config: Config, tensors: Mapping[str, Tensor]
) -> tuple[list[str], list[tuple[str, tuple[int, ...], tuple[int, ...]]], list[str]]:
    """(missing tensors, tensors of another shape, tensors of layers beyond the last) by transformers' own rules.

    The model is made without memory, and no weight is read.
    """
    import torch
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_MAPPING
    from transformers.utils import logging

    fields: dict[str, Any] = dict(config)
    settings = AutoConfig.for_model(fields.pop("model_type"), **fields)
    encoder: Any = MODEL_MAPPING[type(settings)]
    state = {name: torch.empty(tensor.shape, device="meta") for name, tensor in tensors.items()}
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, found = encoder.from_pretrained(
            None,
            config=settings,
            state_dict=state,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            device_map="meta",
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
        )
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()
    wrong = [(name, tuple(there), tuple(wanted)) for name, there, wanted in found["mismatched_keys"]]
    others = {name for name, _, _ in wrong}
    missing = sorted(n for n in found["missing_keys"] if not n.startswith("pooler.") and n not in others)
    forms = {re.sub(r"\d+", "#", name) for name, _ in model.named_parameters()}
    beyond = sorted(name for name in found["unexpected_keys"] if re.sub(r"\d+", "#", name) in forms)
    return missing, sorted(w for w in wrong if not w[0].startswith("pooler.")), beyond


def _other_type(config: Config, tensors: Mapping[str, Tensor]) -> str | None:
    """A sign that the weights are of another model type than config.json says, although their names fit.

    RoBERTa's tensors have BERT's names; what differs is where positions begin, so that nothing would fail.
    """
    kind = config["model_type"]
    for written in config.get("architectures") or ():
        other = _type_of_class(str(written))
        if other is not None and kind not in other:
            return f"model_type is {kind!r} and architectures names {written}; give the model_type of that class"
    marks = {"bert": r"^roberta\.|^lm_head\.", "roberta": r"^bert\.|^cls\.", "xlm-roberta": r"^bert\.|^cls\."}
    sign = next((name for name in tensors if kind in marks and re.search(marks[kind], name)), None)
    if sign is not None:
        return f"model_type is {kind!r} and the weights hold {sign}, a name of another type; give the type they are of"
    rows, padding = config.get("max_position_embeddings", 0), config.get("pad_token_id")
    if kind == "bert" and padding == 1 and config.get("type_vocab_size") == 1 and rows - 2 in (512, 1024, 2048, 8192):
        return (
            f"model_type is 'bert' with {rows} positions, one token type and padding 1, as RoBERTa and XLM-R have; "
            "give model_type xlm-roberta (or roberta)"
        )
    return None


def _type_of_class(name: str) -> set[str] | None:
    """The model types that a class of transformers belongs to; None for a class that is not one of theirs."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES, MODEL_MAPPING_NAMES

    stem = re.sub(r"(?:Model|For\w+|LMHeadModel|WithLMHeadModel)$", "", name)
    found = set()
    for kind, classes in (*MODEL_MAPPING_NAMES.items(), *MODEL_FOR_MASKED_LM_MAPPING_NAMES.items()):
        names = (classes,) if isinstance(classes, str) else classes
        if any(re.sub(r"(?:Model|For\w+|LMHeadModel|WithLMHeadModel)$", "", one) == stem for one in names):
            found.add(kind)
    return found or None
