"""The tokenizer of a checkpoint folder: a fast one, with its architecture's special tokens around a text.

Two of transformers' tokenizers need help (5.23): RemBERT's, read from a SentencePiece file, puts no special tokens
around a text until it is saved and loaded again; XLM's is written in Python and has no offsets: see `train/xlm.py`.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import processors
from transformers import AutoTokenizer

from stilts.encoders.architectures import Architecture, architecture
from stilts.errors import StiltsError


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a checkpoint.

    Raises:
        StiltsError: it is not a fast one.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (ImportError, ValueError) as error:
        raise StiltsError(f"{folder}: the tokenizer cannot be loaded ({error})") from error
    if not tokenizer.is_fast:
        raise StiltsError(
            f"{folder}: {type(tokenizer).__name__} has no offsets, which tagging and question answering need; "
            "add a tokenizer.json"
        )
    if tokenizer.num_special_tokens_to_add() == 0:
        add_frame(tokenizer, architecture(_model_type(folder)))
    return tokenizer


def add_frame(tokenizer: Any, facts: Architecture) -> None:
    """Let a fast tokenizer put an architecture's special tokens around one text or two."""
    names = {"CLS": tokenizer.cls_token, "SEP": tokenizer.sep_token}
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=_template(facts.single, names),
        pair=_template(facts.pair, names),
        special_tokens=[(token, tokenizer.convert_tokens_to_ids(token)) for token in set(names.values())],
    )


def _template(frame: str, names: dict[str, str]) -> list[str]:
    pieces = (piece.split(":") for piece in frame.split())
    return [f"{names.get(name, name)}:{kind}" for name, kind in pieces]


def _model_type(folder: Path) -> str:
    return json.loads((folder / "config.json").read_text()).get("model_type", "")
