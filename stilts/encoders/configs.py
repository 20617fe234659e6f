"""The configuration of a base model, as far as it is known before anything is downloaded."""

import json
from pathlib import Path

from stilts.encoders.architectures import Config, published
from stilts.errors import StiltsError
from stilts.identity.stage import BaseSpec

CONFIG = "config.json"

INIT_DEFAULTS = {"model_type": "xlm-roberta", "pad_token_id": 1, "max_position_embeddings": 514}
"""What a random initialisation takes where its declaration gives no value (see `stilts/train/base.py`)."""


def config_of(base: BaseSpec) -> Config | None:
    """The fields of a base model's configuration, at least `model_type` and `pad_token_id`.

    They come from the declaration of a random initialisation, from a local checkpoint's config.json, from the Hugging
    Face cache of this machine, from `shape:` in the model's declaration, or from the list of known checkpoints.
    None for a hub id of which none of these is there.

    Raises:
        StiltsError: a config.json cannot be read.
    """
    identity = base.identity
    if "init" in identity:
        init = identity["init"]
        return {**INIT_DEFAULTS, "vocab_size": init["tokenizer"]["vocab_size"], **init["config"]}
    if base.source is not None:
        return _with_defaults(read_config(Path(base.source) / CONFIG))
    cached = cached_config(identity["hub"], identity.get("revision"))
    if cached is not None:
        return _with_defaults(read_config(cached))
    if base.shape is not None:
        return _with_defaults(base.shape)
    known = published().get(identity["hub"].rpartition("/")[2].lower())
    return None if known is None else known.config


def _with_defaults(config: Config) -> Config:
    """The fields, with the values that limits of length need where the file leaves them to transformers."""
    given = {name: value for name, value in config.items() if value is not None}
    return {"model_type": "", "pad_token_id": 0, **given}


def cached_config(hub: str, revision: str | None) -> Path | None:
    """The config.json of a hub model in the Hugging Face cache of this machine, or None."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(hub, CONFIG, revision=revision)
    except ValueError:  # not the form of a hub id; the declaration's own checks say so
        return None
    return Path(found) if isinstance(found, str) else None


def read_config(file: Path) -> dict[str, object]:
    """The object in a config.json.

    Raises:
        StiltsError: the file is missing or does not hold a JSON object.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StiltsError(f"{file} cannot be read ({error.strerror}); download the checkpoint again") from None
    except (ValueError, RecursionError):
        raise StiltsError(f"{file} is not valid JSON (truncated?); download the checkpoint again") from None
    if not isinstance(found, dict):
        raise StiltsError(f"{file} holds no JSON object; it should be the config.json of a transformers model")
    return found
