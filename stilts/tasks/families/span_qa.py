"""Span question answering: the answer is a span of the context (SQuAD, XQuAD, MLQA, TyDiQA).

A long context is split into overlapping windows. Offsets are counted in code points of the context, and an answer is a
slice of the context, so that results do not depend on separators, white space or word segmentation.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from stilts.errors import StiltsError
from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths, Procedure
from stilts.tasks.families.checks import empty_texts, first_problems
from stilts.tasks.families.files import Answers, PredictionFile
from stilts.tasks.families.hub import HubRows, answers_of
from stilts.tasks.families.ragged import Ragged
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import Frame, Spans, features, tokenize, tokenize_spans
from stilts.tasks.recipes import XTREME_QA_RECIPE, XTREME_QA_SETTINGS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NOT_CONTEXT = -1


class SpanQA(Family):
    """Span question answering. A prediction is a text; each window of a context is an item.

    Further features:

    - `null` int32: index of the class token, which stands for "no answer";
    - `start`, `end` int32: indices of the first and last token of the answer; `null` if the window does not contain the
      answer or there is none;
    - `offset_start`, `offset_end` list<int32>: start and end (exclusive) of each token in the context, in code points;
      NOT_CONTEXT for tokens that do not belong to the context.

    The head returns float32 [len(input_ids), 2] per row: the start and end logit of each token.

    Columns on the hub: `id`, `context`, `question`, `answers` ({"text": [...], "answer_start": [...]}, or a list of
    such structs).
    """

    name = "span_qa"
    schema = schema.SPAN_QA
    scored_as = ("answers",)
    gold_column = "answers"
    gold_hint = "; questions without an answer are SQuAD 2.0's: squad2 reads them"
    keeps_ids = True
    features = ("start", "end")
    splits_examples = True
    usual_metrics = ("metric", "exact_match", "f1")
    usual_recipe: ClassVar[Mapping[str, Any]] = XTREME_QA_RECIPE
    usual_settings: ClassVar[Mapping[str, Any]] = XTREME_QA_SETTINGS
    usual_format = "squad"
    columns = ("id", "context", "question", "answers")
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("context", "question"), "question": ("question",)}

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        problems = [*empty_texts(table, "context"), *empty_texts(table, "question")]
        return first_problems([*problems, *_misplaced(table)])

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        frame = Frame(tokenizer, pair=True)
        max_query = lengths.max_query_length or lengths.max_length
        questions = tokenize(table["question"], tokenizer).cut(max_query)
        contexts = tokenize_spans(table["context"], tokenizer)
        rooms = frame.room(lengths.max_length) - questions.lengths
        if rooms.min(initial=1) < 1:
            raise StiltsError(
                f"max_length {lengths.max_length} leaves no room for the context beside questions of up to "
                f"{questions.lengths.max()} tokens: raise it or lower max_query_length"
            )
        windows = _windows(contexts.ids.lengths, rooms, lengths.stride)
        question = questions.take(windows.rows)
        first = frame.prefix + question.lengths + frame.between
        # A frame without a prefix is XLNet's, whose class token is the last token.
        null = np.zeros_like(first) if frame.prefix else first + windows.counts + frame.size - frame.between - 1
        start, end = _targets(table, contexts, windows, first, null)
        blank = question.like(np.full(len(question.values), NOT_CONTEXT, np.int32))
        columns = {
            **frame.columns(question, windows.of(contexts.ids)),
            "null": pa.array(null.astype(np.int32)),
            "start": pa.array(start),
            "end": pa.array(end),
            "offset_start": frame.aligned(NOT_CONTEXT, blank, windows.of(contexts.starts)),
            "offset_end": frame.aligned(NOT_CONTEXT, blank, windows.of(contexts.ends)),
        }
        return features(np.arange(len(windows.rows)), windows.rows, columns)

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        return hub_questions(rows)

    def procedure(self, task: Task, settings: Mapping[str, Any]) -> Procedure:
        """Tune the threshold of "no answer" on the dev set if the task allows that answer and no threshold is given."""
        open_threshold = task.unanswerable and settings.get("null_threshold") is None
        return Procedure.NULL_THRESHOLD if open_threshold else Procedure.DECODE

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[str]:
        return [
            "" if lengths.null_threshold is not None and answer.null_margin > lengths.null_threshold else answer.text
            for answer in best_spans(table, features, outputs, lengths)
        ]

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        """All accepted answers of each row, `[""]` for an unanswerable question; None if no row has an answer."""
        answers = [[answer["text"] for answer in row] for row in table["answers"].to_pylist()]
        return [row or [""] for row in answers] if any(answers) else None

    def predictions(self, table: pa.Table, decoded: list[Any]) -> dict[str, str]:
        """Return the answers by question id."""
        return dict(zip(table["id"].to_pylist(), decoded, strict=True))

    def scored_gold(
        self, table: pa.Table, task: Task, candidates: pa.Table | None = None
    ) -> dict[str, list[str]] | None:
        """Return the accepted answers by question id. Rows that share an id share their answers."""
        answers = self.gold(table, task)
        if answers is None:
            return None
        gold: dict[str, list[str]] = {}
        for id_, texts in zip(table["id"].to_pylist(), answers, strict=True):
            gold.setdefault(id_, []).extend(texts)
        return gold

    def item_ids(self, table: pa.Table) -> list[str]:
        """Return the ids of the questions; rows that share an id are one item."""
        return list(dict.fromkeys(table["id"].to_pylist()))

    def file(self, task: Task) -> PredictionFile:
        return Answers()


register(SpanQA())


def hub_questions(rows: HubRows) -> dict[str, list[Any]]:
    """Convert rows in SQuAD's format on the hub to the columns of `schema.SPAN_QA`; empty answers are dropped."""
    answers = [[{"text": text, "start": start} for text, start in answers_of(row)] for row in rows.columns["answers"]]
    return {"context": rows.columns["context"], "question": rows.columns["question"], "answers": answers}


class Answer(NamedTuple):
    """The best span of a question over all its windows.

    Attributes:
        text: slice of the context, without white space at its ends.
        score: sum of the start logit and the end logit.
        null_margin: lowest score of "no answer" (the class token) over the windows, minus `score`.
    """

    text: str
    score: float
    null_margin: float


def best_spans(table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], lengths: Lengths) -> list[Answer]:
    """The best answer to each row of `table`; its text is empty if no window of the row has context tokens."""
    spans = [(-np.inf, 0, 0)] * table.num_rows
    nulls = [np.inf] * table.num_rows
    columns = (
        *(features[name].to_pylist() for name in ("example", "null")),
        *(_lists(features[name]) for name in ("offset_start", "offset_end")),
    )
    for example, null, starts, ends, output in zip(*columns, outputs, strict=True):
        spans[example] = max(spans[example], _best_span(starts, ends, output, lengths), key=lambda span: span[0])
        nulls[example] = min(nulls[example], float(output[null].sum()))
    contexts = table["context"].to_pylist()
    extract = lengths.extract or _slice
    return [
        Answer(extract(context, start, end).strip(), score, null - score)
        for context, (score, start, end), null in zip(contexts, spans, nulls, strict=True)
    ]


def _slice(context: str, start: int, end: int) -> str:
    return context[start:end]


def _best_span(starts: np.ndarray, ends: np.ndarray, output: np.ndarray, lengths: Lengths) -> tuple[float, int, int]:
    """(score, start, end in code points) of the best span of one window."""
    valid = np.flatnonzero(starts != NOT_CONTEXT)
    if not len(valid):
        return -np.inf, 0, 0
    logits = output[valid].astype(np.float32)
    best = np.argsort(-logits, axis=0, kind="stable")[: lengths.n_best]
    start, end = best[:, 0][:, None], best[:, 1][None, :]
    scores = logits[start, 0] + logits[end, 1]
    scores[(end < start) | (end - start >= lengths.max_answer_length)] = -np.inf
    row, column = np.unravel_index(np.argmax(scores), scores.shape)
    return float(scores[row, column]), int(starts[valid[best[row, 0]]]), int(ends[valid[best[column, 1]]])


class _Windows(NamedTuple):
    """Windows of contexts: row in the table, first context token and number of context tokens of each."""

    rows: np.ndarray
    begins: np.ndarray
    counts: np.ndarray

    def of(self, contexts: Ragged) -> Ragged:
        return contexts.take(self.rows).skip(self.begins).cut(self.counts)


def _windows(lengths: np.ndarray, rooms: np.ndarray, stride: int | None) -> _Windows:
    """Split contexts into windows that cover every context token.

    Args:
        lengths: int64 [contexts], number of tokens.
        rooms: int64 [contexts], maximum number of context tokens of a window.
        stride: tokens between the beginnings of two windows; None: windows do not overlap.
    """
    # A stride larger than a window would skip tokens.
    strides = rooms if stride is None else np.minimum(rooms, stride)
    counts = 1 + -(-np.maximum(lengths - rooms, 0) // strides)
    rows = np.repeat(np.arange(len(lengths)), counts)
    index = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    begins = index * strides[rows]
    return _Windows(rows, begins, np.minimum(rooms[rows], lengths[rows] - begins))


def _targets(
    table: pa.Table, contexts: Spans, windows: _Windows, first: np.ndarray, null: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Start and end token of the gold answer in each window, whose first context token has the index `first`."""
    spans = np.array(list(_gold_tokens(table, contexts)), np.int64).reshape(-1, 2)[windows.rows]
    start, end = (spans - windows.begins[:, None]).T
    inside = (spans[:, 0] >= 0) & (start >= 0) & (end < windows.counts)
    return np.where(inside, start + first, null).astype(np.int32), np.where(inside, end + first, null).astype(np.int32)


def _gold_tokens(table: pa.Table, contexts: Spans) -> Iterator[tuple[int, int]]:
    """First and last context token of the first answer of each row; (-1, -1) if there is none."""
    for row, answers in enumerate(table["answers"].to_pylist()):
        if not answers:
            yield -1, -1
            continue
        begin = answers[0]["start"]
        start = int(np.searchsorted(contexts.ends[row], begin, side="right"))
        end = int(np.searchsorted(contexts.starts[row], begin + len(answers[0]["text"]), side="left")) - 1
        yield (start, end) if start <= end else (-1, -1)


def _misplaced(table: pa.Table) -> Iterator[str]:
    """A message for each answer that is not in the context at its offset."""
    for row, (context, answers) in enumerate(
        zip(table["context"].to_pylist(), table["answers"].to_pylist(), strict=True)
    ):
        for answer in answers or []:
            text, start = answer["text"], answer["start"]
            if context[start : start + len(text)] != text:
                there = context[start : start + len(text)]
                yield f"row {row}: the answer {text!r} is not at character {start} of the context, which has {there!r}"


def _lists(column: pa.ChunkedArray) -> list[Any]:
    """Convert a list<int32> column to one numpy array per row."""
    return [row.values.to_numpy() for chunk in column.chunks for row in chunk]
