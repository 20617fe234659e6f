"""Dual encoder: queries and texts, each encoded by itself by one encoder; a query's texts are the nearest vectors
(LAReQA's questions and answer sentences, Mewsli-X's mentions and entities). The search is `evaluate/mining`.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Lengths
from stilts.tasks.families.checks import first_problems, rows_where, select
from stilts.tasks.families.subwords import Frame, features, list_lengths, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class DualEncoder:
    """One row a query and one a text; those of a pair share `item`, the query first. The head yields float32 [hidden]
    per row, of length 1.

    `max_query_length` cuts queries, `max_length` texts. A text with a context is laid out as a pair of texts, and the
    context gives way. Where the table names the texts' languages, features that are not for training keep them.
    """

    schema = schema.RANKING

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        return first_problems(_problems(table))

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        examples = np.arange(table.num_rows)
        if training:
            examples, table = select(table, _filled(table, "query") & _filled(table, "text"))
        queries, texts = (np.flatnonzero(_filled(table, column)) for column in ("query", "text"))
        rows = np.concatenate([queries, texts])
        parts = [
            features(queries, examples[queries], _queries(table.take(queries), tokenizer, lengths)),
            features(texts, examples[texts], _texts(table.take(texts), tokenizer, lengths)),
        ]
        # Stable: the query of a pair stays before its text.
        order = np.argsort(rows, kind="stable")
        encoded = pa.concat_tables(parts).take(order)
        if training or not _filled(table, "language").all():
            return encoded
        return encoded.append_column("language", table["language"].take(pa.array(rows[order])))

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[list[str]]:
        raise TypeError("a dual encoder searches among all texts: see evaluate/evaluation.py")

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        """The keys of each row; None where no row has any."""
        keys = table["keys"].to_pylist()
        return keys if any(keys) else None


def queries_of(table: pa.Table) -> pa.Table:
    """The queries alone, without the texts of pairs."""
    rows = table.filter(pa.array(_filled(table, "query")))
    return _blank(rows, "candidate", "text", "context")


def candidates_of(table: pa.Table) -> pa.Table:
    """The texts alone, each candidate once, without the queries of pairs."""
    rows = table.filter(pa.array(_filled(table, "text")))
    _, first = np.unique(np.asarray(rows["candidate"].to_pylist(), dtype=object), return_index=True)
    return _blank(rows.take(np.sort(first)), "id", "query")


def _filled(table: pa.Table, column: str) -> np.ndarray:
    return pc.not_equal(pc.fill_null(table[column], ""), "").to_numpy()


def _blank(table: pa.Table, *columns: str) -> pa.Table:
    for column in columns:
        index = table.schema.get_field_index(column)
        table = table.set_column(index, table.schema.field(index), pa.repeat("", table.num_rows))
    return table


def _queries(table: pa.Table, tokenizer: "PreTrainedTokenizerFast", lengths: Lengths) -> dict[str, pa.Array]:
    frame = Frame(tokenizer)
    limit = min(lengths.max_query_length or lengths.max_length, lengths.max_length)
    return dict(frame.columns(tokenize(table["query"], tokenizer).cut(frame.room(limit))))


def _texts(table: pa.Table, tokenizer: "PreTrainedTokenizerFast", lengths: Lengths) -> dict[str, pa.Array]:
    paired = bool(_filled(table, "context").any())
    frame = Frame(tokenizer, pair=paired)
    room = frame.room(lengths.max_length)
    texts = tokenize(table["text"], tokenizer).cut(room)
    if not paired:
        return dict(frame.columns(texts))
    contexts = tokenize(table["context"], tokenizer).cut(room - texts.lengths)
    return dict(frame.columns(texts, contexts))


def _problems(table: pa.Table) -> Iterator[str]:
    queries, texts = _filled(table, "query"), _filled(table, "text")
    yield from (f"row {row}: neither a query nor a text" for row in np.flatnonzero(~queries & ~texts))
    keys = list_lengths(table["keys"]) > 0
    yield from (f"row {row}: a pair without a key" for row in np.flatnonzero(queries & texts & ~keys))
    for column, wanted in (("id", queries), ("candidate", texts)):
        named = _filled(table, column)
        yield from (f"row {row}: {column} is empty" for row in np.flatnonzero(wanted & ~named))
    repeated = pc.value_counts(table["id"].filter(pa.array(queries)))
    for name in [entry["values"].as_py() for entry in repeated if entry["counts"].as_py() > 1]:
        rows = rows_where(pc.equal(table["id"], name))
        yield f"row {rows[1]}: the query id {name!r} is that of row {rows[0]} too"
