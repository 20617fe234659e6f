"""Texts to subword ids, and the frame of special tokens around them.

Texts are tokenized without special tokens, each distinct text once (the premises of MNLI, the contexts of SQuAD and
the words of a treebank repeat), and put together by `Frame`, which asks the tokenizer itself for the layout:
`<s>A</s></s>B</s>`, `[CLS]A[SEP]B[SEP]` or any other.
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
"""Texts of one tokenizer call: bounds the Python integers alive at once."""


class Spans(NamedTuple):
    """Subwords of each text: ids and code point offsets into the text (end exclusive), parallel to each other."""

    ids: Ragged
    starts: Ragged
    ends: Ragged


def tokenize(texts: pa.ChunkedArray | pa.Array, tokenizer: "PreTrainedTokenizerFast") -> Ragged:
    """Subword ids of each text, without special tokens and without a limit on the length."""
    return _tokenize_distinct(texts, tokenizer, offsets=False)[0]


def tokenize_spans(texts: pa.ChunkedArray | pa.Array, tokenizer: "PreTrainedTokenizerFast") -> Spans:
    """As `tokenize`, with the place of each subword in its text."""
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
    """The ids with unknown words for those past the model's vocabulary (see `train/xlm.py`)."""
    known = tokenizer.init_kwargs.get("known")
    return ids if known is None else ids.like(np.where(ids.values < known, ids.values, tokenizer.unk_token_id))


class Frame:
    """The special tokens that a tokenizer puts around one text or a pair of texts.

    Attributes:
        size: special tokens of one row.
        prefix: those before the (first) text.
        between: those between the texts of a pair.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", pair: bool = False) -> None:
        # Asked for: the tokenizers of RemBERT and XLNet give types, yet do not name them among their outputs.
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
        """Tokens of text that fit a row.

        Raises:
            StiltsError: none.
        """
        if max_length <= self.size:
            raise StiltsError(
                f"max_length {max_length} leaves no room for text beside {self.size} special tokens: raise it"
            )
        return max_length - self.size

    def columns(self, *texts: Ragged) -> Mapping[str, pa.Array]:
        """`input_ids` and, where the second of a pair has another, `token_type_ids` of framed texts."""
        columns = {"input_ids": self._framed(self._specials, texts).arrow()}
        if self._types is not None:
            parts = [
                text.like(np.full(len(text.values), kind, np.int32))
                for text, kind in zip(texts, self._text_types, strict=True)
            ]
            columns["token_type_ids"] = self._framed(self._types, parts).arrow()
        return columns

    def aligned(self, fill: int, *texts: Ragged) -> pa.ListArray:
        """A column parallel to `input_ids`, with `fill` at special tokens."""
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
    """A feature table: `item`, `example`, then the columns given."""
    common = {"item": pa.array(items.astype(np.int32)), "example": pa.array(examples.astype(np.int32))}
    return pa.table({**common, **columns})


def list_lengths(column: pa.ChunkedArray) -> np.ndarray:
    """Entries of each row of a list column, int64; a missing list has none."""
    return pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
