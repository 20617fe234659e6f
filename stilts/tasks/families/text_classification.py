"""Text classification: one label for each text or pair of texts (topics, sentiment, intents, languages ...)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths
from stilts.tasks.families.checks import first_problems, rows_where, select
from stilts.tasks.families.files import Lines, PredictionFile, known_label
from stilts.tasks.families.hub import HubRows, label_name
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import features
from stilts.tasks.families.texts import hub_texts, text_features, text_problems
from stilts.tasks.families.words import NO_LABEL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class TextClassification(Family):
    """A prediction is a label. The head returns float32 [num_labels] per row of the features, which add `label` int32.

    In contrast to `classification`, examples hold the names of labels, so that a task may take its labels from the
    training data. On the hub: `text_a`, `label` (a name, or a number that the data set names) and perhaps `text_b`.
    """

    name = "text_classification"
    schema = schema.LABELLED_TEXTS
    scored_as = ("labels",)
    gold_column = "label"
    label_column = "label"
    features = ("label",)
    gold_name = "label"
    takes_labels = True
    usual_metrics = ("accuracy", "macro_f1")
    usual_format = "texts"
    columns = ("text_a", "label")
    optional_columns = ("text_b",)
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("text_a", "text_b")}

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        known = pa.array(["", *task.labels])
        wrong = rows_where(pc.invert(pc.is_in(table["label"], value_set=known))) if task.labels else []
        valid = ", ".join(task.labels[:20]) + (" ..." if len(task.labels) > 20 else "")
        labels = [f"row {row}: label {table['label'][row].as_py()!r} is not one of {valid}" for row in wrong]
        return first_problems([*text_problems(table), *labels])

    def has_gold(self, table: pa.Table) -> np.ndarray:
        found: np.ndarray = pc.not_equal(pc.fill_null(table["label"], ""), "").to_numpy()
        return found

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        rows = np.arange(table.num_rows)
        if training:
            rows, table = select(table, self.has_gold(table))
        labels = pc.fill_null(pc.index_in(table["label"], value_set=pa.array(task.labels, pa.string())), NO_LABEL)
        columns = text_features(table, tokenizer, lengths)
        return features(np.arange(len(rows)), rows, {**columns, "label": labels})

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        return {**hub_texts(rows), "label": rows.names(label_name)}

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[str]:
        return [task.labels[int(np.argmax(output))] for output in outputs]

    def gold(self, table: pa.Table, task: Task) -> list[str] | None:
        return table["label"].to_pylist() if self.has_gold(table).all() else None

    def file(self, task: Task) -> PredictionFile:
        return Lines(lambda line: known_label(line, task))


register(TextClassification())
