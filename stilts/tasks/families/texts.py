"""What families of one text or a pair of texts share: the columns `text_a` and `text_b`.

`text_b` is empty in every row if there is one text.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks.families.base import Lengths
from stilts.tasks.families.checks import empty_texts
from stilts.tasks.families.classification import longest_first
from stilts.tasks.families.hub import HubRows
from stilts.tasks.families.subwords import Frame, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def text_problems(table: pa.Table) -> list[str]:
    """Return a problem for each row without a text, and for each that alone lacks a second one."""
    problems = empty_texts(table, "text_a")
    second = _second(table)
    return [*problems, *empty_texts(table, "text_b")] if second.any() else problems


def hub_texts(rows: HubRows) -> dict[str, list[Any]]:
    """Return the columns of texts of rows of the hub."""
    first = rows.columns["text_a"]
    return {"text_a": first, "text_b": rows.columns.get("text_b") or [""] * len(first)}


def text_features(table: pa.Table, tokenizer: "PreTrainedTokenizerFast", lengths: Lengths) -> dict[str, pa.Array]:
    """Return the feature columns of texts or pairs of texts with their special tokens, cut to the maximum length. Of a
    pair the longer text is cut first."""
    frame = Frame(tokenizer, pair=bool(_second(table).any()))
    room, first = frame.room(lengths.max_length), tokenize(table["text_a"], tokenizer)
    if not _second(table).any():
        return dict(frame.columns(first.cut(room)))
    second = tokenize(table["text_b"], tokenizer)
    keep_first, keep_second = longest_first(first.lengths, second.lengths, room)
    return dict(frame.columns(first.cut(keep_first), second.cut(keep_second)))


def _second(table: pa.Table) -> np.ndarray:
    found: np.ndarray = pc.not_equal(pc.fill_null(table["text_b"], ""), "").to_numpy()
    return found
