"""How many embedding rows a tokenizer needs, read from its files without loading it."""

import json
from pathlib import Path
from typing import Any

from stilts.encoders.architectures import Config, architecture

_PIECES = ("sentencepiece.bpe.model", "spiece.model", "spm.model", "sentencepiece.model")


def tokenizer_problems(folder: Path, config: Config, rows: int | None) -> list[str]:
    """What of a checkpoint's tokenizer cannot be read or does not fit its embeddings.

    Args:
        rows: of the word embeddings, as the weights have them; None where that is not known.
    """
    try:
        needed, padding = _needed(folder)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [
            f"{folder}: the tokenizer cannot be read ({type(error).__name__}; truncated?); download its files again"
        ]
    found = []
    if needed and rows is not None and needed > rows:
        found.append(
            f"{folder}: the tokenizer has ids up to {needed - 1} and the word embeddings {rows} rows; give the "
            "tokenizer of this model, or resize the model's embeddings (resize_token_embeddings)"
        )
    given = config.get("pad_token_id")
    if padding is not None and architecture(config["model_type"]).after_padding and given not in (None, padding):
        found.append(
            f"{folder / 'config.json'}: pad_token_id is {given} and the tokenizer's padding token has the id "
            f"{padding}, from which positions count; give both files of one model"
        )
    return found


def _needed(folder: Path) -> tuple[int, int | None]:
    """The highest id + 1 (0 if unknown), and the id of the padding token (None if unknown)."""
    if (folder / "tokenizer.json").is_file():
        return _fast(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")))
    for name in _PIECES:
        if (folder / name).is_file():
            return _pieces((folder / name).read_bytes()), None
    if (folder / "vocab.txt").is_file():
        return len((folder / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")), None
    if (folder / "vocab.json").is_file():
        ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        return max(ids.values()) + 1, ids.get("<pad>")
    return 0, None


def _fast(content: dict[str, Any]) -> tuple[int, int | None]:
    """Of a tokenizer.json: vocabularies are lists (Unigram) or mappings."""
    words = content["model"]["vocab"]
    added = {token["content"]: token["id"] for token in content.get("added_tokens", [])}
    ids = added if isinstance(words, list) else {**words, **added}
    size = max(len(words), 1 + max(ids.values(), default=-1))
    return size, next((ids[name] for name in ("<pad>", "[PAD]") if name in ids), None)


def _pieces(model: bytes) -> int:
    """Number of pieces of a SentencePiece model: the fields of number 1 of its protocol buffer.

    Raises:
        ValueError: the file ends inside a field.
    """
    place = count = 0
    while place < len(model):
        tag, place = _varint(model, place)
        if tag & 7 != 2:  # only pieces stand before the settings
            break
        size, place = _varint(model, place)
        if place + size > len(model):
            raise ValueError("truncated")
        count += tag >> 3 == 1
        place += size
    return count


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(data):
            raise ValueError("truncated")
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
