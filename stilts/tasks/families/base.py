"""The contract of a task family: everything about tasks of one shape that needs no torch.

A family is one subclass of `Family` in a file of this folder, registered with `registry.register`, and one subclass of
`FamilyHead` in `stilts/train/heads`, which holds its head and loss. Nothing outside these two files depends on the name
of a family: planning, reading, encoding, evaluation and results ask the attributes and methods below.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.experiment.recipe import Recipe
from stilts.tasks.base import Task
from stilts.tasks.families.files import PredictionFile
from stilts.tasks.families.hub import HubRows
from stilts.tasks.families.subwords import list_lengths

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MAX_PROBLEMS = 20
"""The maximum number of problems that `Family.validate` reports for one table."""


@dataclass(frozen=True)
class Lengths:
    """The fields of a recipe, or of an evaluation's settings, that shape features and answers, in subword tokens.

    Attributes:
        max_length: maximum length of one input, special tokens included.
        stride: question answering: the distance between the starts of consecutive context windows (`doc_stride` of
            run_squad.py). With None, windows do not overlap.
        max_query_length: question answering and dual encoders: questions are truncated to this length.
        n_best: question answering: number of the best start and end tokens of a window that are combined to spans.
        max_answer_length: question answering: maximum length of an answer.
        null_threshold: question answering: the answer is empty if the score of the class token exceeds the score of
            the best span by more than this (in logits). With None, every question gets an answer.
        extract: question answering: `extract(context, start, end)` returns the text of an answer (`extraction.py`).
            With None, it is the slice of the context.
    """

    max_length: int
    stride: int | None = None
    max_query_length: int | None = None
    n_best: int = 20
    max_answer_length: int = 30
    null_threshold: float | None = None
    extract: Callable[[str, int, int], str] | None = None

    @classmethod
    def of(cls, source: Recipe | Mapping[str, Any]) -> "Lengths":
        """Read the fields from a recipe or from an evaluation's settings. Other fields are ignored."""
        values = source if isinstance(source, Mapping) else source.model_dump()
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})


class Procedure(Enum):
    """How an evaluation turns the model's outputs into predictions. The code is in `stilts/evaluate/evaluation.py`."""

    DECODE = "each example is decoded by itself, with Family.decode"
    NULL_THRESHOLD = "as DECODE, after the threshold for 'no answer' was chosen on the dev set (SQuAD 2.0)"
    NEAREST = "the nearest sentence of the other language (Tatoeba)"
    MINE = "all pairs whose margin exceeds a threshold that was chosen on the dev set (BUCC 2018)"
    RANK = "the nearest candidates of a collection that all languages share (LAReQA, Mewsli-X)"

    @property
    def tuned(self) -> bool:
        """Whether a threshold is chosen on the dev set."""
        return self in (Procedure.NULL_THRESHOLD, Procedure.MINE)

    @property
    def by_vectors(self) -> bool:
        """Whether predictions are made from one vector per input."""
        return self in (Procedure.NEAREST, Procedure.MINE, Procedure.RANK)


class Family:
    """What tasks of one shape share, without torch.

    A subclass must set `name` and `schema`, and implement `validate` and `encode`. One whose tasks are evaluated also
    implements `file`, `gold` and, for `Procedure.DECODE`, `decode`. Everything else has a default.

    Attributes:
        name: the name in `Task.family`.
        schema: the Arrow schema of canonical examples.
        gold_column: column that holds the gold: an index (negative: no gold) or a list (empty: no gold). None if the
            family needs no gold.
        partly_labelled: whether some rows of a table may lack gold.
        label_column: column of the labels, or of lists of them, if tasks may take their labels from the training data
            instead of declaring them.
        tag_column: list column of the tags of words, which may be those of spans (BIO).
        keeps_ids: whether ids stay as they are where several files are read, because predictions refer to them.
        raw_text: whether it trains on text of any language as it is, without translations or a dev set.
        has_head: whether predictions come from a trained head. False: they come from the sentence vectors of the
            encoder, and nothing is trained.
        features: numeric columns of the features that the head reads, besides those that all families have.
        scored_as: the kinds of answers as which predictions can be scored (see `tasks/metrics`), unless a task names
            another. A metric is looked up in each kind in turn. Empty if there are no predictions.
        gold_hint: what to do if some rows of a table lack gold, for the message that says so.
        splits_examples: whether a long example becomes several inputs instead of being truncated, so that its cost is
            that of all its tokens.
        noise: scope of the noise -> columns that it changes. The scope of every family with noise is `all`; question
            answering also has `question`. Empty if there is no noise for the family. The columns `context`, `tokens`
            and `choices` have rules of their own in `data/noise/perturb.py`; other columns are plain text.
        gold_name: the column of gold in `columns`, for files of texts without a header (`data/sources/texts.py`).
        takes_labels: whether tasks of the family have labels.
        usual_metrics: metrics of a task that names none, the main one first. Empty: a task must name its metric.
        usual_recipe: fields of the recipe of a task that gives none.
        usual_settings: evaluation settings of its tasks; lengths that a task's recipe gives replace those here.
        usual_format: format of the files of a task that names none (`data/sources/files.py`); None if there is none.
        hub_needs_format: whether rows of the hub become examples by the task's file format (`Format.from_hub`).
        columns: columns that a table with a header or a data set of the hub must have (`from_hub`).
        optional_columns: columns that it may have, besides `id`.
        hub_requirements: what a row of the hub lacks -> whether a canonical row has it. Rows of training and dev sets
            that lack something are left out with a warning.
    """

    name: str
    schema: pa.Schema
    gold_column: str | None = None
    partly_labelled: bool = False
    label_column: str | None = None
    tag_column: str | None = None
    keeps_ids: bool = False
    raw_text: bool = False
    has_head: bool = True
    features: tuple[str, ...] = ()
    scored_as: tuple[str, ...] = ()
    gold_hint: str = ""
    splits_examples: bool = False
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    gold_name: str | None = None
    takes_labels: bool = False
    usual_metrics: tuple[str, ...] = ()
    usual_recipe: ClassVar[Mapping[str, Any]] = {}
    usual_settings: ClassVar[Mapping[str, Any]] = {"max_length": 128}
    usual_format: str | None = None
    hub_needs_format: bool = False
    columns: tuple[str, ...] = ()
    optional_columns: tuple[str, ...] = ()
    hub_requirements: ClassVar[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = {}

    # --- examples

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        """Return the mistakes in canonical examples, at most MAX_PROBLEMS. Each names its row, counted from 0."""
        raise NotImplementedError

    def has_gold(self, table: pa.Table) -> np.ndarray:
        """Return a boolean array that tells which rows have gold. All rows have if the family needs none."""
        if self.gold_column is None:
            return np.ones(table.num_rows, bool)
        column = table[self.gold_column]
        return list_lengths(column) > 0 if pa.types.is_list(column.type) else pc.greater_equal(column, 0).to_numpy()

    def paths(self, path: str, language: str) -> list[Path]:
        """Return the files that a declared path stands for; `{lang}` is replaced already."""
        return [Path(path)]

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        """Convert rows of the hub to canonical columns. The caller adds a column `id`.

        Mistakes in values are noted with `rows.report`.
        """
        raise NotImplementedError

    def labels_in(self, table: pa.Table) -> list[str]:
        """Return the distinct labels of training examples, if tasks may take their labels from them."""
        column = table[str(self.label_column)]
        found = pc.unique(pc.list_flatten(column) if pa.types.is_list(column.type) else column)
        return [label for label in found.to_pylist() if label]

    def tags_among(self, labels: Sequence[str]) -> list[str]:
        """Return the labels that are tags of words."""
        return list(labels)

    # --- features

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        """Convert canonical examples to features, one row per input of the model.

        All families have the columns `item` int32 (rows of one item are consecutive and count as one example),
        `example` int32 (row of `table`), `input_ids` list<int32> (special tokens included, at most
        `lengths.max_length`), and `token_type_ids` list<int32> if the tokenizer has them. The names in
        `Family.features` are int32 or list<int32>. A column `labels` holds one label per classified token, NO_LABEL for
        none; the mean loss is then taken over labelled tokens instead of items.

        With `training`, rows without gold are left out. A question without answers has gold: it is unanswerable.

        Raises:
            StiltsError: `max_length` leaves no room for text.
        """
        raise NotImplementedError

    def predicted_share(self, task: Task, recipe: Recipe) -> float:
        """Return the share of tokens that are predicted over the whole vocabulary, which the cost model needs."""
        return 0.0

    # --- predictions and gold

    def procedure(self, task: Task, settings: Mapping[str, Any]) -> Procedure:
        """Return how predictions are made under these settings of an evaluation."""
        return Procedure.DECODE

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[Any]:
        """Return one prediction per row of `table`, from one output of the head per row of `features`."""
        raise TypeError(f"the family {self.name} decodes no single examples")

    def predictions(self, table: pa.Table, decoded: list[Any]) -> Any:
        """Return what `decode` returned in the form that `tasks.score.score` takes."""
        return decoded

    def gold(self, table: pa.Table, task: Task) -> list[Any] | None:
        """Return what `decode` should have returned for each row, or None if rows lack gold."""
        raise NotImplementedError

    def scored_gold(self, table: pa.Table, task: Task, candidates: pa.Table | None = None) -> Any | None:
        """Return the gold in the form that `tasks.score.score` takes, or None if there is none.

        Args:
            candidates: rankings: canonical examples whose texts are searched. With None, those of `table`.
        """
        return self.gold(table, task)

    def item_ids(self, table: pa.Table) -> list[str]:
        """Return the id of each test item, in the order of the gold. Translations of an item have the same id."""
        ids: list[str] = table["id"].to_pylist()
        return ids

    def file(self, task: Task) -> PredictionFile:
        """Return the format of the task's prediction files."""
        raise TypeError(f"the family {self.name} makes no predictions")
