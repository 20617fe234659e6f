"""Regression: a number for each text, or for each pair of texts (similarity of sentences, quality of translations)."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths
from stilts.tasks.families.checks import first_problems, select
from stilts.tasks.families.files import Lines, PredictionFile
from stilts.tasks.families.hub import HubRows
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import features
from stilts.tasks.families.texts import hub_texts, text_features, text_problems

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Regression(Family):
    """A prediction is a number. The head returns float32 [1] per row of the features, which add `score` float32.

    It is trained with the squared error of the score as the data has it. On the hub: `text_a`, `score` and perhaps
    `text_b`; a score may be text that reads as a number.
    """

    name = "regression"
    schema = schema.SCORED_TEXTS
    scored_as = ("scores",)
    gold_column = "score"
    gold_name = "score"
    features = ("score",)
    usual_metrics = ("pearson", "spearman")
    usual_format = "texts"
    columns = ("text_a", "score")
    optional_columns = ("text_b",)
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("text_a", "text_b")}

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        infinite = np.flatnonzero(np.isinf(_scores(table))).tolist()
        return first_problems([*text_problems(table), *(f"row {row}: the score is infinite" for row in infinite)])

    def has_gold(self, table: pa.Table) -> np.ndarray:
        return ~np.isnan(_scores(table))

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        rows = np.arange(table.num_rows)
        if training:
            rows, table = select(table, self.has_gold(table))
        columns = {**text_features(table, tokenizer, lengths), "score": pa.array(_scores(table).astype(np.float32))}
        return features(np.arange(len(rows)), rows, columns)

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        found = []
        for row, value in enumerate(rows.columns["score"]):
            try:
                found.append(math.nan if value is None or value == "" else float(value))
            except ValueError:
                rows.report(row, rows.source.columns["score"], f"{str(value)[:40]!r} is not a number")
                found.append(math.nan)
        return {**hub_texts(rows), "score": found}

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[float]:
        return [float(output[0]) for output in outputs]

    def gold(self, table: pa.Table, task: Task) -> list[float] | None:
        return table["score"].to_pylist() if table.num_rows and self.has_gold(table).all() else None

    def file(self, task: Task) -> PredictionFile:
        return Lines(_parse_number, repr)


register(Regression())


def _scores(table: pa.Table) -> np.ndarray:
    found: np.ndarray = table["score"].to_numpy().astype(np.float64)
    return found


def _parse_number(line: str) -> float:
    try:
        value = float(line)
    except ValueError:
        raise ValueError(f"{line[:60]!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{line[:60]!r} is not finite")
    return value
