"""Subword ids of texts, and the special tokens around them.

Texts are tokenized without special tokens. Each distinct text is tokenized once, because the premises of MNLI, the
contexts of SQuAD and the words of a treebank repeat. `Frame` then adds the special tokens. It finds their places by
encoding a short example with the tokenizer: `<s>A</s></s>B</s>`, `[CLS]A[SEP]B[SEP]` or any other layout.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.errors import StiltsError
from stilts.tasks.families.ragged import Ragged, join, stack

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 10_000
"""Number of texts in one call of the tokenizer; it limits the memory for Python integers."""


class Spans(NamedTuple):
    """Subwords of each text: their ids, and their start and end (exclusive) in the text, in code points."""

    ids: Ragged
    starts: Ragged
    ends: Ragged


def tokenize(texts: pa.ChunkedArray | pa.Array, tokenizer: "PreTrainedTokenizerFast") -> Ragged:
    """Subword ids of each text, without special tokens and without a limit on the length."""
    return _tokenize_distinct(texts, tokenizer, offsets=False)[0]


def tokenize_spans(texts: pa.ChunkedArray | pa.Array, tokenizer: "PreTrainedTokenizerFast") -> Spans:
    """Like `tokenize`, and return the start and end of each subword in its text as well."""
    return Spans(*_tokenize_distinct(texts, tokenizer, offsets=True))


def _tokenize_distinct(
    texts: pa.ChunkedArray | pa.Array, tokenizer: "PreTrainedTokenizerFast", offsets: bool
) -> list[Ragged]:
    distinct = pc.unique(texts)
    rows = pc.index_in(texts, value_set=distinct).to_numpy().astype(np.int64)
    chunks = [
        _tokenize(distinct.slice(begin, CHUNK).to_pylist(), tokenizer, offsets)
        for begin in range(0, len(distinct), CHUNK)
    ]
    columns = [stack(column).take(rows) for column in zip(*chunks, strict=True)]
    return columns or [Ragged.of([])] * 3


def _tokenize(texts: list[str], tokenizer: "PreTrainedTokenizerFast", offsets: bool) -> list[Ragged]:
    encoding = tokenizer(
        texts,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        return_offsets_mapping=offsets,
        verbose=False,
    )
    ids = _known(Ragged.of(encoding["input_ids"]), tokenizer)
    if not offsets:
        return [ids]
    spans = [span for row in encoding["offset_mapping"] for span in row]
    pairs = np.array(spans, np.int32).reshape(-1, 2)
    return [ids, ids.like(pairs[:, 0]), ids.like(pairs[:, 1])]


def _known(ids: Ragged, tokenizer: "PreTrainedTokenizerFast") -> Ragged:
    """Replace ids beyond the model's vocabulary by the id of the unknown token (see `train/xlm.py`)."""
    known = tokenizer.init_kwargs.get("known")
    return ids if known is None else ids.like(np.where(ids.values < known, ids.values, tokenizer.unk_token_id))


class Frame:
    """The special tokens that a tokenizer puts around one text or a pair of texts.

    Attributes:
        size: number of special tokens in a row.
        prefix: number of special tokens before the (first) text.
        between: number of special tokens between the texts of a pair.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", pair: bool = False) -> None:
        # Token type ids are requested explicitly: the tokenizers of RemBERT and XLNet have them, but do not return them
        # by default.
        both = tokenizer("a", "a", return_token_type_ids=True)
        probe = both if pair else tokenizer("a", return_token_type_ids=True)
        owners = probe.sequence_ids(0)
        last = 1 if pair else 0
        inner = [i for i, owner in enumerate(owners) if owner is not None]
        cuts = [slice(0, inner[0]), slice(inner[-1] + 1, None)]
        if pair:
            cuts.insert(1, slice(_last_index(owners, 0) + 1, owners.index(1)))
        self._specials = [probe["input_ids"][cut] for cut in cuts]
        self._types: list[list[int]] | None = None
        if any(both["token_type_ids"]):
            types = probe["token_type_ids"]
            self._types = [types[cut] for cut in cuts]
            self._text_types = [types[owners.index(text)] for text in range(last + 1)]
        self.size = sum(map(len, self._specials))
        self.prefix = len(self._specials[0])
        self.between = len(self._specials[1]) if pair else 0

    def room(self, max_length: int) -> int:
        """Number of tokens of text that fit in a row of `max_length` tokens.

        Raises:
            StiltsError: the special tokens leave no room for text.
        """
        if max_length <= self.size:
            raise StiltsError(
                f"max_length {max_length} leaves no room for text beside {self.size} special tokens: raise it"
            )
        return max_length - self.size

    def columns(self, *texts: Ragged) -> Mapping[str, pa.Array]:
        """Return the columns `input_ids` and, if the tokenizer distinguishes the texts of a pair, `token_type_ids`."""
        columns = {"input_ids": self._framed(self._specials, texts).arrow()}
        if self._types is not None:
            parts = [
                text.like(np.full(len(text.values), kind, np.int32))
                for text, kind in zip(texts, self._text_types, strict=True)
            ]
            columns["token_type_ids"] = self._framed(self._types, parts).arrow()
        return columns

    def aligned(self, fill: int, *texts: Ragged) -> pa.ListArray:
        """Return a column parallel to `input_ids`: the values of `texts`, and `fill` at special tokens."""
        return self._framed([[fill] * len(special) for special in self._specials], texts).arrow()

    @staticmethod
    def _framed(specials: list[list[int]], texts: tuple[Ragged, ...] | list[Ragged]) -> Ragged:
        count = len(texts[0])
        parts = [Ragged.repeated(specials[0], count)]
        for text, special in zip(texts, specials[1:], strict=True):
            parts += [text, Ragged.repeated(special, count)]
        return join(parts)


def _last_index(owners: list[int | None], owner: int) -> int:
    return len(owners) - 1 - owners[::-1].index(owner)


def features(items: np.ndarray, examples: np.ndarray, columns: Mapping[str, pa.Array]) -> pa.Table:
    """Return a table of features: `item`, `example`, then the given columns."""
    common = {"item": pa.array(items.astype(np.int32)), "example": pa.array(examples.astype(np.int32))}
    return pa.table({**common, **columns})


def list_lengths(column: pa.ChunkedArray) -> np.ndarray:
    """Length of each list of a list column, int64 [rows]; 0 for a null."""
    return pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
