"""A local checkpoint folder in the Hugging Face layout: which files it must hold, and its digest. Needs no torch.

Weights are safetensors files, which hold numbers only. Other files of tensors are pickles, which run code when they are
loaded: `local_checkpoint_problems` refuses them, and an index that names one.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stilts.errors import StiltsError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors library."""
TOKENIZERS = (
    ("tokenizer.json",),
    ("sentencepiece.bpe.model",),
    ("spiece.model",),
    ("spm.model",),
    ("sentencepiece.model",),
    ("vocab.txt",),
    ("vocab.json", "merges.txt"),
)
"""Each group of files is a complete tokenizer."""
_MOST_NAMED = 5
"""Missing files that are named; the others are counted."""
EXTRAS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


@dataclass(frozen=True)
class Tensor:
    """A tensor as a safetensors header describes it: `dtype` is F32, BF16, I8 ..."""

    dtype: str
    shape: tuple[int, ...]


def local_checkpoint_problems(path: Path, *, weights: bool = True) -> list[str]:
    """What a checkpoint folder lacks, one message a problem; empty if all files are there.

    Args:
        weights: whether the weights must be in the folder.
    """
    if not path.is_dir():
        return [f"{path}: no such folder; give a folder with config.json, model.safetensors and a tokenizer"]
    problems = []
    if not (path / CONFIG).is_file():
        problems.append(f"{path}: config.json is missing; copy it from the model's repository")
    problems += _weight_problems(path) if weights else []
    if not any(all((path / name).is_file() for name in group) for group in TOKENIZERS):
        names = ", ".join(" + ".join(group) for group in TOKENIZERS)
        problems.append(f"{path}: no tokenizer; one of these is needed: {names}")
    return problems


def _weight_problems(path: Path) -> list[str]:
    if (path / WEIGHTS).is_file():
        return safetensors_problems(path / WEIGHTS)
    if (path / INDEX).is_file():
        try:
            shards = _shards(path)
        except StiltsError as error:
            return [str(error)]
        present = {name for name in shards if (path / name).is_file()}
        missing = [name for name in shards if name not in present]
        wrong = [problem for name in shards if name in present for problem in safetensors_problems(path / name)]
        more = [f"{path}: {len(missing) - _MOST_NAMED} more files of {INDEX} are missing"]
        listed = [f"{path}: {name} is missing, but {INDEX} lists it" for name in missing[:_MOST_NAMED]]
        return [*listed, *(more if len(missing) > _MOST_NAMED else []), *wrong]
    if any(path.glob("*.bin")):
        return [
            f"{path}: the weights are a pickle (.bin), which is never loaded; convert them with "
            "`AutoModel.from_pretrained(..., weights_only=True).save_pretrained(...)` to model.safetensors"
        ]
    return [f"{path}: model.safetensors is missing; copy it from the model's repository"]


def safetensors_problems(file: Path) -> list[str]:
    """Why a file cannot be read as safetensors, by its header and its length; empty if it can."""
    try:
        header, start = _header(file)
        entries = [entry for name, entry in header.items() if name != "__metadata__"]
        end = max((entry["data_offsets"][1] for entry in entries), default=0)
        for entry in entries:
            _tensor(entry)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return [
            f"{file} is no safetensors file: it is damaged, or something else, such as a pickle, under that name; "
            "download it again, or convert the weights with save_pretrained"
        ]
    size = file.stat().st_size
    if size != start + end:
        return [
            f"{file} has {size} bytes and its header describes {start + end}: it is truncated or damaged; download it "
            "again"
        ]
    return []


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where the numbers begin.

    Raises:
        ValueError: there is none.
    """
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > _LONGEST_HEADER:
            raise ValueError("no header")
        if length > file.stat().st_size:
            raise ValueError("no header")
        header = json.loads(stream.read(length))
    if not isinstance(header, dict):
        raise ValueError("no header")
    return header, 8 + length


def _tensor(entry: dict[str, Any]) -> Tensor:
    """A tensor by its entry in the header.

    Raises:
        KeyError, TypeError, ValueError: it has no type, or its shape is no list of sizes.
    """
    shape = tuple(entry["shape"])
    if not isinstance(entry["dtype"], str) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError("no tensor")
    return Tensor(entry["dtype"], shape)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Type and shape of every tensor of a checkpoint folder, from the headers of its files.

    Raises:
        StiltsError: a tensor that the index lists is not in its file.
    """
    found: dict[str, Tensor] = {}
    for file in sorted(set(tensor_files(path).values())):
        header, _ = _header(file)
        header.pop("__metadata__", None)
        found |= {name: _tensor(entry) for name, entry in header.items()}
    lacking = sorted(set(tensor_files(path)) - set(found))
    if lacking:
        raise StiltsError(
            f"{path / INDEX} lists {len(lacking)} tensors that are not in its files ({lacking[0]} ...); download the "
            "checkpoint again"
        )
    return found


def _shards(path: Path) -> list[str]:
    return sorted(set(_weight_map(path).values()))


def _weight_map(path: Path) -> dict[str, str]:
    """The file of every tensor by the index.

    Raises:
        StiltsError: it is no index, or names something else than safetensors files of the folder.
    """
    try:
        found = dict(json.loads((path / INDEX).read_text())["weight_map"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise StiltsError(f"{path / INDEX} is not the index of a checkpoint: it has no weight_map") from None
    for name in found.values():
        if not isinstance(name, str) or not name.endswith(".safetensors") or name != Path(name).name:
            raise StiltsError(
                f"{path / INDEX} names {name!r}: weights are read from safetensors files in the same folder alone"
            )
    if not found:
        raise StiltsError(f"{path / INDEX} lists no tensors")
    return found


def tensor_files(path: Path) -> dict[str, Path]:
    """The file of every tensor of a checkpoint, by the tensor's name."""
    if (path / INDEX).is_file() and not (path / WEIGHTS).is_file():
        return {name: path / file for name, file in _weight_map(path).items()}
    header, _ = _header(path / WEIGHTS)
    return {name: path / WEIGHTS for name in header if name != "__metadata__"}


def checkpoint_files(path: Path) -> list[Path]:
    """The files of a checkpoint folder that matter: configuration, weights and tokenizer, sorted by name."""
    names = {CONFIG, *EXTRAS, *(name for group in TOKENIZERS for name in group)}
    if (path / WEIGHTS).is_file():
        names.add(WEIGHTS)
    elif (path / INDEX).is_file():
        names.update([INDEX, *_shards(path)])
    return sorted(path / name for name in names if (path / name).is_file())


def checkpoint_digest(path: Path) -> str:
    """sha256 over names and contents of `checkpoint_files`, 64 hex digits."""
    total = hashlib.sha256()
    for file in checkpoint_files(path):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{file.name}\0{content}\n".encode())
    return total.hexdigest()
