"""Load the tokenizer of a checkpoint folder: a fast one, which adds its architecture's special tokens to a text.

Two tokenizers of transformers need a correction: RemBERT's, when it is read from a SentencePiece file, adds no special
tokens until it has been saved and loaded again. XLM's is written in Python and gives no offsets (see `train/xlm.py`).
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import processors
from transformers import AutoTokenizer

from stilts.encoders.architectures import Architecture, architecture
from stilts.errors import StiltsError


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a checkpoint folder.

    Raises:
        StiltsError: it cannot be loaded, is not a fast one, or has no special tokens to put around a text.
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
        if tokenizer.cls_token is None or tokenizer.sep_token is None:
            raise StiltsError(
                f"{folder}: the tokenizer adds no special tokens and names no cls_token and sep_token, which heads "
                "read; give the encoder's own tokenizer"
            )
        add_frame(tokenizer, architecture(_model_type(folder)))
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


def _model_type(folder: Path) -> str:
    return json.loads((folder / "config.json").read_text()).get("model_type", "")
