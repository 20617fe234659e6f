"""One evaluation: examples -> features -> outputs of the model -> predictions -> scores.

`evaluate` is given a function that runs the model, and makes predictions as the task's family prescribes
(`Family.procedure`). Examples without gold, such as XTREME's own test files, get predictions but no score.

Its three steps can also be called one by one: only `compute` runs the model, and `prepare` of the next evaluation and
`conclude` of the last one can run in threads beside it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.errors import StiltsError
from stilts.evaluate import mining
from stilts.evaluate.candidates import Pool
from stilts.evaluate.gold import gold_of
from stilts.evaluate.inputs import Encoded, Inputs, prepare
from stilts.evaluate.mining import Matrix
from stilts.evaluate.predictions import write_predictions
from stilts.evaluate.thresholds import best_null_threshold
from stilts.identity.stage import EvaluationSpec
from stilts.tasks.base import Task
from stilts.tasks.families import Lengths, Procedure, get_family
from stilts.tasks.families.extraction import official_answer
from stilts.tasks.families.span_qa import best_spans
from stilts.tasks.metrics import RANKS
from stilts.tasks.score import score

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

Forward = Callable[[pa.Table, str, Mapping[str, Any]], "list[np.ndarray] | torch.Tensor"]
"""`forward(features, family, settings)` returns one float32 array per row of features, in their order: the outputs of
the family's head (shapes in `tasks/families`) or, if it has no head, the sentence vector [hidden] of the settings'
`layer` and `pooling`. Where there is one vector per row, they may be the rows of a tensor on any device."""


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
    inputs = prepare(task, spec, table, tune, tokenizer, pool)
    return conclude(task, spec, inputs, compute(task, spec, inputs, forward), tokenizer)


@dataclass(frozen=True)
class Outputs:
    """What the model returns for the inputs of an evaluation.

    Attributes:
        pool: the vectors of the candidates of a ranking.
    """

    main: "list[np.ndarray] | torch.Tensor"
    tune: "list[np.ndarray] | torch.Tensor | None" = None
    pool: "Matrix | None" = None


def compute(task: Task, spec: EvaluationSpec, inputs: Inputs, forward: Forward) -> Outputs:
    """Run the model on all inputs of an evaluation."""

    def run(features: pa.Table) -> "list[np.ndarray] | torch.Tensor":
        return forward(with_language(features, spec.language), task.family, spec.settings)

    return Outputs(
        run(inputs.main.features),
        None if inputs.tune is None else run(inputs.tune.features),
        None
        if inputs.pool is None
        else inputs.pool.vectors(spec.settings, lambda: _matrix(run(inputs.pool_features()))),
    )


def conclude(
    task: Task, spec: EvaluationSpec, inputs: Inputs, outputs: Outputs, tokenizer: "PreTrainedTokenizerFast"
) -> Evaluated:
    """Make predictions of the model's outputs and score them.

    Raises:
        StiltsError: there is no gold to choose the threshold on.
    """
    run = _Run(task, spec, tokenizer, inputs, outputs)
    predictions: Any
    gold: Any
    extra: dict[str, float] = {}
    match get_family(task.family).procedure(task, spec.settings):
        case Procedure.DECODE:
            predictions, gold = run.predict()
        case Procedure.NULL_THRESHOLD:
            predictions, gold, extra = run.answer()
        case Procedure.NEAREST:
            predictions, gold = run.search()
        case Procedure.MINE:
            predictions, gold, extra = run.mine()
        case Procedure.RANK:
            predictions, gold = run.rank()
    metrics = None if gold is None else score(task, spec.language, predictions, gold)
    content = write_predictions(task.name, predictions)
    return Evaluated(content, metrics, inputs.table.num_rows, extra | inputs.noise)


@dataclass(frozen=True)
class _Side:
    """One side of a parallel corpus with its sentence vectors, float32 [rows, hidden]."""

    ids: list[str]
    texts: list[str]
    vectors: Matrix


@dataclass(frozen=True)
class _Run:
    """One evaluation. Its public methods implement one procedure each and return predictions and gold for `score`."""

    task: Task
    spec: EvaluationSpec
    tokenizer: "PreTrainedTokenizerFast"
    inputs: Inputs
    outputs: Outputs

    def predict(self) -> tuple[Any, Any]:
        """Decode each example from the outputs of the task's head."""
        family, lengths, main = get_family(self.task.family), self._lengths(), self.inputs.main
        decoded = family.decode(main.table, main.features, _arrays(self.outputs.main), self.task, lengths)
        return family.predictions(main.table, decoded), gold_of(self.task, main.table)

    def answer(self) -> tuple[dict[str, str], dict[str, list[str]] | None, dict[str, float]]:
        """SQuAD 2.0: answer with the best span, or not at all if the margin of "no answer" exceeds a threshold that is
        chosen on the dev set."""
        tune = self.inputs.tune
        answers, gold = self._answers(self.inputs.main, self.outputs.main)
        known, known_gold = (answers, gold) if tune is None else self._answers(tune, self.outputs.tune)
        if known_gold is None:
            raise StiltsError(
                f"{self.task.name} {self.spec.split}/{self.spec.language}: no gold to choose the no-answer threshold "
                "on; give the dev set, or a number as the setting null_threshold"
            )
        chosen = best_null_threshold(self.task.name, self.spec.language, known, known_gold)
        threshold = chosen["null_threshold"]
        return {id_: "" if margin > threshold else text for id_, (text, margin) in answers.items()}, gold, chosen

    def _answers(
        self, examples: Encoded, outputs: Any
    ) -> tuple[dict[str, tuple[str, float]], dict[str, list[str]] | None]:
        """Return the best answer of each question with the margin of "no answer", and the accepted answers."""
        best = best_spans(examples.table, examples.features, outputs, self._lengths())
        ids = examples.table["id"].to_pylist()
        answers = {id_: (answer.text, answer.null_margin) for id_, answer in zip(ids, best, strict=True)}
        return answers, gold_of(self.task, examples.table)

    def search(self) -> tuple[list[str], list[str] | None]:
        """Tatoeba: find the foreign sentence with the highest cosine for each English one."""
        foreign, english = _sides(self.inputs.main.table, self.outputs.main)
        found = mining.nearest(english.vectors, foreign.vectors)
        return [foreign.ids[row] for row in found], gold_of(self.task, self.inputs.main.table)

    def rank(self) -> tuple[dict[str, list[str]], dict[str, list[str]] | None]:
        """LAReQA and Mewsli-X: find the candidates with the highest cosines for each query."""
        pool, vectors = self.inputs.pool, self.outputs.pool
        assert pool is not None
        assert vectors is not None
        found = mining.rank(_matrix(self.outputs.main), vectors, RANKS)
        rows = zip(self.inputs.main.table["id"].to_pylist(), found.tolist(), strict=True)
        predictions = {id_: [pool.names[row] for row in best] for id_, best in rows}
        gold = gold_of(self.task, self.inputs.table, pool)
        if lost := [id_ for id_, names in (gold or {}).items() if not names]:
            what = f"{self.task.name} {self.spec.split}/{self.spec.language}"
            logger.warning("%s: %d queries have no right candidate, first %r, and score 0", what, len(lost), lost[0])
        return predictions, gold

    def mine(self) -> tuple[set[tuple[str, str]], set[tuple[str, str]] | None, dict[str, float]]:
        """BUCC: find the pairs whose margin reaches the threshold that has the best F1 on the dev set."""
        tune = self.inputs.tune
        candidates, gold = self._candidates(self.inputs.main.table, self.outputs.main)
        known, known_gold = (candidates, gold) if tune is None else self._candidates(tune.table, self.outputs.tune)
        if not known_gold:
            raise StiltsError(
                f"{self.task.name} {self.spec.split}/{self.spec.language}: no gold pairs to choose the threshold on; "
                "give the dev set with its gold"
            )
        threshold, f1 = mining.best_threshold(known, known_gold)
        pairs = {(foreign, english) for margin, foreign, english in candidates if margin >= threshold}
        return pairs, gold, {"threshold": threshold, "tuned_f1": f1}

    def _candidates(
        self, table: pa.Table, outputs: Any
    ) -> tuple[list[tuple[float, str, str]], set[tuple[str, str]] | None]:
        """Return (margin, foreign id, English id) of each mined pair, and the gold pairs."""
        foreign, english = _sides(table, outputs)
        rows = mining.mine_sentences(foreign.vectors, english.vectors, foreign.texts, english.texts)
        candidates = [(margin, foreign.ids[i], english.ids[j]) for margin, i, j in rows]
        return candidates, gold_of(self.task, table)

    def _lengths(self) -> Lengths:
        lengths = Lengths.of(self.spec.settings)
        if self.spec.settings.get("extraction") != "official":
            return lengths
        return replace(lengths, extract=partial(official_answer, self.tokenizer))


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


def _sides(table: pa.Table, outputs: Any) -> tuple[_Side, _Side]:
    """Return the foreign and the English side."""
    vectors = _matrix(outputs)
    return _side(table, "foreign", vectors), _side(table, "en", vectors)


def _side(table: pa.Table, name: str, vectors: Matrix) -> _Side:
    mask = pc.equal(table["side"], name)
    rows = table.filter(mask).to_pydict()
    return _Side(rows["id"], rows["text"], vectors[np.flatnonzero(mask.to_numpy())])


def _matrix(outputs: "list[np.ndarray] | torch.Tensor") -> Matrix:
    return np.stack(outputs) if isinstance(outputs, list) else outputs


def _arrays(outputs: "list[np.ndarray] | torch.Tensor") -> list[np.ndarray]:
    return outputs if isinstance(outputs, list) else list(outputs.cpu().numpy())
