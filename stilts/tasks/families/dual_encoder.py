"""Dual encoder: one encoder maps queries and texts to vectors, and the nearest texts answer a query.

LAReQA's questions and answer sentences, Mewsli-X's mentions and entities. The search is in `evaluate/mining.py`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths, Procedure
from stilts.tasks.families.checks import first_problems, rows_where, select
from stilts.tasks.families.files import PredictionFile, Rankings
from stilts.tasks.families.hub import HubRows
from stilts.tasks.families.registry import register
from stilts.tasks.families.span_qa import hub_questions
from stilts.tasks.families.subwords import Frame, features, list_lengths, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class DualEncoder(Family):
    """Features have one row per query and one per text; those of a pair share `item`, the query first. The head returns
    a float32 vector [hidden] of length 1 per row.

    Queries are truncated to `max_query_length`, texts to `max_length`. A text with a context is encoded as a pair of
    texts, of which the context is truncated first. If the table names the languages of the texts, features for
    prediction keep them. Noise changes the queries alone: the collection that is searched is shared by all languages.
    On the hub: the columns of question answering, of which the task's file format makes pairs.
    """

    name = "dual_encoder"
    schema = schema.RANKING
    scored_as = ("rankings",)
    gold_column = "keys"
    partly_labelled = True
    keeps_ids = True
    splits_examples = True
    usual_metrics: tuple[str, ...] = ("map@20",)
    usual_recipe: ClassVar[Mapping[str, Any]] = {"max_length": 256, "max_query_length": 96}
    usual_settings: ClassVar[Mapping[str, Any]] = {"max_length": 256, "max_query_length": 96}
    usual_format = "squad_pairs"
    hub_needs_format = True
    columns: tuple[str, ...] = ("id", "context", "question", "answers")
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("query",)}

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

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        return hub_questions(rows)

    def procedure(self, task: Task, settings: Mapping[str, Any]) -> Procedure:
        return Procedure.RANK

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        """Return the keys of each row, or None if no row has any."""
        keys = table["keys"].to_pylist()
        return keys if any(keys) else None

    def scored_gold(self, table: pa.Table, task: Task, candidates: pa.Table | None = None) -> dict[str, Any] | None:
        """Return the right candidates by query: those that share a key with it, possibly none."""
        queries = queries_of(table)
        keys = queries["keys"].to_pylist()
        if not any(keys):
            return None
        right = right_candidates(candidates_of(table) if candidates is None else candidates)
        rows = zip(queries["id"].to_pylist(), keys, strict=True)
        return {id_: [name for key in of for name in right.get(key, ())] for id_, of in rows}

    def item_ids(self, table: pa.Table) -> list[str]:
        """Return the ids of the queries."""
        return super().item_ids(queries_of(table))

    def file(self, task: Task) -> PredictionFile:
        return Rankings()


register(DualEncoder())


def queries_of(table: pa.Table) -> pa.Table:
    """Return the queries without the texts of pairs."""
    rows = table.filter(pa.array(_filled(table, "query")))
    return _blank(rows, "candidate", "text", "context")


def candidates_of(table: pa.Table) -> pa.Table:
    """Return the texts without the queries of pairs, each candidate once."""
    rows = table.filter(pa.array(_filled(table, "text")))
    _, first = np.unique(np.asarray(rows["candidate"].to_pylist(), dtype=object), return_index=True)
    return _blank(rows.take(np.sort(first)), "id", "query")


def right_candidates(candidates: pa.Table) -> dict[str, list[str]]:
    """Return the names of the candidates of each key."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, keys in zip(candidates["candidate"].to_pylist(), candidates["keys"].to_pylist(), strict=True):
        for key in keys:
            found[key].append(name)
    return found


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
