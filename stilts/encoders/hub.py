"""Check a hub model before it is downloaded: from its small files and the headers of its weight files."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from stilts.encoders.checkpoint_checks import checkpoint_problems
from stilts.encoders.checkpoint_files import CONFIG, EXTRAS, INDEX, TOKENIZERS, WEIGHTS, Tensor
from stilts.encoders.configs import read_config
from stilts.errors import StiltsError, chain
from stilts.os_errors import HUB_CACHE, READ_ONLY, explain, is_full
from stilts.waiting import NoAnswer, bounded

Answer = TypeVar("Answer")

_SMALL = [CONFIG, INDEX, *EXTRAS, *(name for group in TOKENIZERS for name in group)]


def ask_hub(call: Callable[[], Answer]) -> Answer:
    """Ask the Hugging Face hub. An interactive command waits for a limited time (`stilts/waiting.py`).

    Raises:
        NoAnswer: the hub did not answer in time.
        Exception: what the hub's client raises.
    """
    from huggingface_hub.constants import ENDPOINT

    advice = (
        "`stilts doctor` checks the connection; HF_HUB_OFFLINE=1 uses only what is in the cache of this machine, and "
        "HF_ENDPOINT names another hub"
    )
    return bounded(call, f"the Hugging Face hub at {ENDPOINT}", advice)


def hub_cache_error(error: Exception) -> StiltsError | None:
    """The StiltsError for an error of the disk on which the Hugging Face cache lies; None for any other error."""
    from huggingface_hub.constants import HF_HUB_CACHE

    for found in chain(error, context=True):
        if isinstance(found, OSError) and (found.errno in READ_ONLY or is_full(found)):
            return explain(found, "write", Path(HF_HUB_CACHE), what=HUB_CACHE)
    return None


def hub_problems(hub: str, revision: str, shape: Mapping[str, Any] | None = None) -> list[str]:
    """Everything that keeps a hub model from being trained on; empty if nothing does.

    A snapshot with weights in the Hugging Face cache of this machine is checked there. Otherwise config.json and the
    tokenizer are downloaded, and of the weight files the headers are read.

    Args:
        shape: the fields that the model's declaration gives, which must be those of its config.json.
    """
    try:
        folder = _cached(hub, revision)
        tensors = None
        if folder is None:
            folder, tensors = _described(hub, revision)
    except NoAnswer:
        raise  # the other models would wait as long
    except StiltsError as error:
        return [str(error)]
    found = [problem.replace(str(folder), f"{hub}@{revision}") for problem in checkpoint_problems(folder, tensors)]
    return [*found, *_differences(hub, folder, shape or {})]


def _cached(hub: str, revision: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    patterns = [*_SMALL, "model*.safetensors"]
    try:
        folder = Path(snapshot_download(hub, revision=revision, allow_patterns=patterns, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return folder if (folder / CONFIG).is_file() and any(folder.glob("model*.safetensors")) else None


def _described(hub: str, revision: str) -> tuple[Path, dict[str, Tensor]]:
    """The folder with the small files, and the tensors by the headers of the weight files.

    Raises:
        StiltsError: the hub cannot be reached, has no such model or revision, or the revision has no safetensors.
    """
    from huggingface_hub import HfApi, snapshot_download

    try:
        api = HfApi()
        info = ask_hub(lambda: api.model_info(hub, revision=revision))
        names = {file.rfilename for file in info.siblings or ()}
        folder = Path(ask_hub(lambda: snapshot_download(hub, revision=info.sha, allow_patterns=_SMALL)))
    except NoAnswer:
        raise
    except Exception as error:  # the hub client raises many kinds; each means that the model cannot be had
        if (of_disk := hub_cache_error(error)) is not None:
            raise of_disk from error
        reason = str(error).strip().partition("\n")[0]
        raise StiltsError(
            f"base model {hub}@{revision} cannot be downloaded ({reason}); check the id, the revision, HF_TOKEN and "
            "the network, or give `path:` of a local copy"
        ) from None
    if WEIGHTS in names:
        files = {WEIGHTS}
    elif INDEX in names:
        files = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
    else:
        raise StiltsError(
            f"base model {hub}@{revision} has no safetensors (older checkpoints are pickles, which are never loaded); "
            "name a revision that has them, such as the hub's refs/pr/N of the conversion bot"
        )
    tensors: dict[str, Tensor] = {}
    for file in sorted(files):
        try:
            header = ask_hub(partial(api.parse_safetensors_file_metadata, hub, file, revision=info.sha))
        except NoAnswer:
            raise
        except Exception as error:  # as above; also a header that is none
            reason = str(error).strip().partition("\n")[0]
            raise StiltsError(
                f"{hub}@{revision}/{file}: the header cannot be read ({reason}); give another revision"
            ) from None
        tensors |= {name: Tensor(str(found.dtype), tuple(found.shape)) for name, found in header.tensors.items()}
    return folder, tensors


def _differences(hub: str, folder: Path, shape: Mapping[str, Any]) -> list[str]:
    try:
        config = read_config(folder / CONFIG)
    except StiltsError:
        return []  # told already
    return [
        f"{hub}: shape.{name} is {value!r} and its config.json says {config[name]!r}; mend the declaration"
        for name, value in shape.items()
        if name in config and config[name] != value
    ]
