"""Load the tokenizer of a checkpoint folder: a fast one, which adds its architecture's special tokens to a text.

Three tokenizers of transformers need a correction. RemBERT's, when it is read from a SentencePiece file, adds no
special tokens until it has been saved and loaded again. XLM's is written in Python and gives no offsets (see
`train/xlm.py`). XLM-R's is not found for a model of another type (XLM-R XL, MiniLM) if no file names its class.

Reading and writing a vocabulary of 250,000 pieces takes seconds, and the stages of a process share a few tokenizers.
So this module remembers the last ones by the content of their files, and the files that each of them is saved as.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from tokenizers import processors
from transformers import AutoTokenizer, XLMRobertaTokenizer

from stilts.encoders.architectures import Architecture, architecture
from stilts.encoders.checkpoint_files import CONFIG, EXTRAS, TOKENIZERS
from stilts.errors import StiltsError

REMEMBERED = 4
"""Number of tokenizers that a process remembers. One with 250,000 pieces takes about 100 MB."""

_loaded: OrderedDict[str, Any] = OrderedDict()
_saved: WeakKeyDictionary[Any, dict[str, bytes]] = WeakKeyDictionary()
_guard = threading.Lock()


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a checkpoint folder. Folders with the same tokenizer files give the same object.

    Whoever uses a tokenizer must leave it as it is: stages that come later use the same object.

    Raises:
        StiltsError: it cannot be loaded, is not a fast one, or has no special tokens to put around a text.
    """
    content = _content(folder)
    with _guard:
        if content not in _loaded:
            _loaded[content] = _load(folder)
        _loaded.move_to_end(content)
        while len(_loaded) > REMEMBERED:
            _loaded.popitem(last=False)
        return _loaded[content]


def save_tokenizer(tokenizer: Any, out: Path) -> None:
    """Write the files of a tokenizer to a folder."""
    with _guard:
        if tokenizer not in _saved:
            files = [Path(file) for file in tokenizer.save_pretrained(out)]
            _saved[tokenizer] = {file.name: file.read_bytes() for file in files if file.is_file()}
            return
        for name, written in _saved[tokenizer].items():
            (out / name).write_bytes(written)


def _content(folder: Path) -> str:
    """Digest of everything in a checkpoint folder that its tokenizer depends on."""
    config = _config(folder)
    digest = hashlib.sha256(json.dumps([config.get("model_type"), config.get("tokenizer_class")]).encode())
    for name in sorted({*EXTRAS, *(name for group in TOKENIZERS for name in group)}):
        file = folder / name
        if file.is_file():
            digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _load(folder: Path) -> Any:
    kind: Any = XLMRobertaTokenizer if _is_of_xlmr(folder) else AutoTokenizer
    try:
        tokenizer = kind.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (ImportError, ValueError) as error:
        raise StiltsError(f"{folder}: the tokenizer cannot be loaded ({error})") from error
    if not tokenizer.is_fast:
        raise StiltsError(
            f"{folder}: {type(tokenizer).__name__} has no offsets, which tagging and question answering need; "
            "add a tokenizer.json"
        )
    if tokenizer.num_special_tokens_to_add() == 0:
        if tokenizer.cls_token is None or tokenizer.sep_token is None:
            raise StiltsError(
                f"{folder}: the tokenizer adds no special tokens and names no cls_token and sep_token, which heads "
                "read; give the encoder's own tokenizer"
            )
        add_frame(tokenizer, architecture(_config(folder).get("model_type", "")))
    # A file may ask for them. stilts never does, and the first text would remove them.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def add_frame(tokenizer: Any, facts: Architecture) -> None:
    """Make a fast tokenizer add the architecture's special tokens to one text and to a pair of texts."""
    names = {"CLS": tokenizer.cls_token, "SEP": tokenizer.sep_token}
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=_template(facts.single, names),
        pair=_template(facts.pair, names),
        special_tokens=[(token, tokenizer.convert_tokens_to_ids(token)) for token in set(names.values())],
    )


def _template(frame: str, names: dict[str, str]) -> list[str]:
    pieces = (piece.split(":") for piece in frame.split())
    return [f"{names.get(name, name)}:{kind}" for name, kind in pieces]


def _is_of_xlmr(folder: Path) -> bool:
    """Whether XLM-R's SentencePiece file is the only tokenizer of the folder, and no file names a class for it."""
    if (folder / "tokenizer.json").is_file() or not (folder / "sentencepiece.bpe.model").is_file():
        return False
    config, settings = _config(folder), folder / "tokenizer_config.json"
    named = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    return not {**config, **named}.get("tokenizer_class") and config.get("model_type") != "camembert"


def _config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / CONFIG).read_text())
    return found
