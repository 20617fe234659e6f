"""One evaluation: examples -> features -> outputs of the model -> predictions -> scores.

`evaluate` is given a function that runs the model, and makes predictions as the task's family prescribes
(`Family.procedure`). Examples without gold, such as XTREME's own test files, get predictions but no score.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.data.noise import perturb
from stilts.errors import StiltsError
from stilts.evaluate import mining
from stilts.evaluate.candidates import Pool
from stilts.evaluate.gold import gold_of
from stilts.evaluate.predictions import write_predictions
from stilts.evaluate.thresholds import best_null_threshold
from stilts.identity.stage import EvaluationSpec
from stilts.tasks.base import Task
from stilts.tasks.families import Lengths, Procedure, get_family
from stilts.tasks.families.dual_encoder import queries_of
from stilts.tasks.families.extraction import official_answer
from stilts.tasks.families.span_qa import best_spans
from stilts.tasks.metrics import RANKS
from stilts.tasks.score import score

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

Forward = Callable[[pa.Table, str, Mapping[str, Any]], list[np.ndarray]]
"""`forward(features, family, settings)` returns one float32 array per row of features, in their order: the outputs of
the family's head (shapes in `tasks/families`) or, if it has no head, the sentence vector [hidden] of the settings'
`layer` and `pooling`."""


@dataclass(frozen=True)
class Evaluated:
    """The result of an evaluation.

    Attributes:
        predictions: content of the prediction file in XTREME's layout.
        metrics: scores in percent under the names of evaluate.py; None if the examples have no gold.
        examples: rows of the evaluated table.
        extra: further numbers: the threshold that was chosen and its scores on the dev set (BUCC: `threshold`,
            `tuned_f1`; SQuAD 2.0: see `thresholds.py`); under a noise condition, `changed_share` (`data.noise.Noisy`).
    """

    predictions: bytes
    metrics: dict[str, float] | None
    examples: int
    extra: dict[str, float] = field(default_factory=dict)


def evaluate(
    task: Task,
    spec: EvaluationSpec,
    table: pa.Table,
    tune: pa.Table | None,
    tokenizer: "PreTrainedTokenizerFast",
    forward: Forward,
    pool: Pool | None = None,
) -> Evaluated:
    """Predict `table` under the spec's noise condition and score the predictions.

    Args:
        table: clean canonical examples of `spec.data`.
        tune: clean canonical examples of `spec.tune`, the dev set on which the threshold of BUCC or SQuAD 2.0 is
            chosen. With None, it is chosen on `table` itself (the score of the dev set).
        pool: the candidates that a ranking searches, from `spec.pool`. With None, the texts of `table`.

    Raises:
        StiltsError: the settings leave no room for text, or there is no gold to choose the threshold on.
    """
    run = _Run(task, spec, tokenizer, forward)
    predictions: Any
    gold: Any
    extra: dict[str, float] = {}
    noise: dict[str, float] = {}
    if spec.condition is not None:
        noisy = perturb(table, task, spec.condition, spec.language)
        table, noise = noisy.table, {"changed_share": noisy.changed_share}
    match get_family(task.family).procedure(task, spec.settings):
        case Procedure.DECODE:
            predictions, gold = run.predict(table)
        case Procedure.NULL_THRESHOLD:
            predictions, gold, extra = run.answer(table, tune)
        case Procedure.NEAREST:
            predictions, gold = run.search(table)
        case Procedure.MINE:
            predictions, gold, extra = run.mine(table, tune)
        case Procedure.RANK:
            predictions, gold = run.rank(table, Pool(table) if pool is None else pool)
    metrics = None if gold is None else score(task, spec.language, predictions, gold)
    return Evaluated(write_predictions(task.name, predictions), metrics, table.num_rows, extra | noise)


@dataclass(frozen=True)
class _Side:
    """One side of a parallel corpus with its sentence vectors, float32 [rows, hidden]."""

    ids: list[str]
    texts: list[str]
    vectors: np.ndarray


@dataclass(frozen=True)
class _Run:
    """One evaluation. Its public methods implement one procedure each and return predictions and gold for `score`."""

    task: Task
    spec: EvaluationSpec
    tokenizer: "PreTrainedTokenizerFast"
    forward: Forward

    def predict(self, table: pa.Table) -> tuple[Any, Any]:
        """Decode each example from the outputs of the task's head."""
        family, lengths = get_family(self.task.family), self._lengths()
        features, outputs = self._outputs(table)
        predictions = family.predictions(table, family.decode(table, features, outputs, self.task, lengths))
        return predictions, gold_of(self.task, table)

    def answer(
        self, table: pa.Table, tune: pa.Table | None
    ) -> tuple[dict[str, str], dict[str, list[str]] | None, dict[str, float]]:
        """SQuAD 2.0: answer with the best span, or not at all if the margin of "no answer" exceeds a threshold that is
        chosen on the dev set."""
        answers, gold = self._answers(table)
        known, known_gold = (answers, gold) if tune is None else self._answers(tune)
        if known_gold is None:
            raise StiltsError(
                f"{self.task.name} {self.spec.split}/{self.spec.language}: no gold to choose the no-answer threshold "
                "on; give the dev set, or a number as the setting null_threshold"
            )
        chosen = best_null_threshold(self.task.name, self.spec.language, known, known_gold)
        threshold = chosen["null_threshold"]
        return {id_: "" if margin > threshold else text for id_, (text, margin) in answers.items()}, gold, chosen

    def _answers(self, table: pa.Table) -> tuple[dict[str, tuple[str, float]], dict[str, list[str]] | None]:
        """Return the best answer of each question with the margin of "no answer", and the accepted answers."""
        features, outputs = self._outputs(table)
        best = best_spans(table, features, outputs, self._lengths())
        ids = table["id"].to_pylist()
        answers = {id_: (answer.text, answer.null_margin) for id_, answer in zip(ids, best, strict=True)}
        return answers, gold_of(self.task, table)

    def search(self, table: pa.Table) -> tuple[list[str], list[str] | None]:
        """Tatoeba: find the foreign sentence with the highest cosine for each English one."""
        foreign, english = self._sides(table)
        found = mining.nearest(english.vectors, foreign.vectors)
        return [foreign.ids[row] for row in found], gold_of(self.task, table)

    def rank(self, table: pa.Table, pool: Pool) -> tuple[dict[str, list[str]], dict[str, list[str]] | None]:
        """LAReQA and Mewsli-X: find the candidates with the highest cosines for each query."""
        queries = queries_of(table)
        found = mining.rank(self._vectors(queries), pool.vectors(self.spec.settings, self._vectors), RANKS)
        rows = zip(queries["id"].to_pylist(), found.tolist(), strict=True)
        predictions = {id_: [pool.names[row] for row in best] for id_, best in rows}
        gold = gold_of(self.task, table, pool)
        if lost := [id_ for id_, names in (gold or {}).items() if not names]:
            what = f"{self.task.name} {self.spec.split}/{self.spec.language}"
            logger.warning("%s: %d queries have no right candidate, first %r, and score 0", what, len(lost), lost[0])
        return predictions, gold

    def _vectors(self, table: pa.Table) -> np.ndarray:
        return np.stack(self._outputs(table)[1])

    def mine(
        self, table: pa.Table, tune: pa.Table | None
    ) -> tuple[set[tuple[str, str]], set[tuple[str, str]] | None, dict[str, float]]:
        """BUCC: find the pairs whose margin reaches the threshold that has the best F1 on the dev set."""
        candidates, gold = self._candidates(table)
        known, known_gold = (candidates, gold) if tune is None else self._candidates(tune)
        if not known_gold:
            raise StiltsError(
                f"{self.task.name} {self.spec.split}/{self.spec.language}: no gold pairs to choose the threshold on; "
                "give the dev set with its gold"
            )
        threshold, f1 = mining.best_threshold(known, known_gold)
        pairs = {(foreign, english) for margin, foreign, english in candidates if margin >= threshold}
        return pairs, gold, {"threshold": threshold, "tuned_f1": f1}

    def _candidates(self, table: pa.Table) -> tuple[list[tuple[float, str, str]], set[tuple[str, str]] | None]:
        """Return (margin, foreign id, English id) of each mined pair, and the gold pairs."""
        foreign, english = self._sides(table)
        rows = mining.mine_sentences(foreign.vectors, english.vectors, foreign.texts, english.texts)
        candidates = [(margin, foreign.ids[i], english.ids[j]) for margin, i, j in rows]
        return candidates, gold_of(self.task, table)

    def _sides(self, table: pa.Table) -> tuple[_Side, _Side]:
        """Return the foreign and the English side."""
        vectors = self._vectors(table)
        return _side(table, "foreign", vectors), _side(table, "en", vectors)

    def _lengths(self) -> Lengths:
        lengths = Lengths.of(self.spec.settings)
        if self.spec.settings.get("extraction") != "official":
            return lengths
        return replace(lengths, extract=partial(official_answer, self.tokenizer))

    def _outputs(self, table: pa.Table) -> tuple[pa.Table, list[np.ndarray]]:
        lengths = self._lengths()
        features = get_family(self.task.family).encode(table, self.tokenizer, self.task, lengths, training=False)
        return features, self.forward(with_language(features, self.spec.language), self.task.family, self.spec.settings)


def with_language(features: pa.Table, language: str) -> pa.Table:
    """Return features with a `language` column, which models with language embeddings read.

    The language of the English side of a retrieval task is English.
    """
    if "language" in features.column_names:
        return features
    names: pa.Array = pa.repeat(language, features.num_rows)
    if "side" in features.column_names:
        names = pc.if_else(pc.equal(features["side"], "en"), "en", language)
    return features.append_column("language", names)


def _side(table: pa.Table, name: str, vectors: np.ndarray) -> _Side:
    mask = pc.equal(table["side"], name)
    rows = table.filter(mask).to_pydict()
    return _Side(rows["id"], rows["text"], vectors[mask.to_numpy()])
