"""Chooses the best regime for a target, and the best of its seeds, by dev scores.

The choice never uses a test score. All regimes of a target are compared by the same kind of dev score. If several are
equally good, the first in the experiment's order is chosen.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stilts.identity.stage import EvaluationSpec
from stilts.results.table import CellSource, ReadEvaluation, main_value
from stilts.statistics.spread import spread
from stilts.tasks.base import get_task

STAND_IN = {"tatoeba": "bucc2018", "xquad": "mlqa", "tydiqa": "xquad"}
"""Target without usable dev data -> the target whose dev scores are used in its place.

Tatoeba uses BUCC's: both are retrieval tasks that evaluate the encoder without a target stage. XQuAD uses MLQA's: both
evaluate the same SQuAD stage. TyDiQA, whose dev set serves as the test set, uses XQuAD's English dev set."""

_Score = Callable[[CellSource], float | None]


@dataclass(frozen=True)
class DevScores:
    """The dev scores by which the regime for one target is chosen.

    Attributes:
        source: describes the scores, as `dev score of xnli (English)`; empty if there are none.
        by_cell: score in percent by (intermediate, seed); None if a cell has no dev score.
    """

    source: str
    by_cell: Mapping[tuple[str, int], float | None]

    def of(self, cell: CellSource) -> float | None:
        """The dev score of a cell of the target; with STAND_IN, that of the other target's cell of the same seed."""
        return self.by_cell.get((cell.intermediate, cell.seed))


@dataclass(frozen=True)
class Candidate:
    """One regime that can be chosen for a target.

    Attributes:
        dev: mean dev score over the n seeds that have one, of the planned seeds; None if no seed has one.
    """

    dev: float | None
    n: int
    planned: int


def dev_scores(target: str, cells: Sequence[CellSource], read_evaluation: ReadEvaluation) -> DevScores:
    """Find the dev scores by which a regime is chosen for a target.

    Four kinds of score are tried, and the first of which at least one cell has a value is used: on English dev, on dev
    in all languages, and then the same two of the target in STAND_IN.

    Args:
        cells: the official cells (`CellSource.official`) of one model, for all targets.
    """
    kinds: dict[str, _Score] = {
        "English": lambda cell: _selection_score(cell, read_evaluation),
        "all languages": lambda cell: _evaluated_score(cell, read_evaluation),
    }
    for source in (target, STAND_IN.get(target)):
        of_source = [cell for cell in cells if cell.target == source]
        for kind, score in kinds.items():
            scores = {(cell.intermediate, cell.seed): score(cell) for cell in of_source}
            if any(value is not None for value in scores.values()):
                return DevScores(f"dev score of {source} ({kind})", scores)
    return DevScores("", {})


def judged_by(cell: CellSource) -> list[EvaluationSpec]:
    """All evaluations of a cell that `dev_scores` may read."""
    return [*([cell.selection] if cell.selection is not None else []), *_on_dev(cell)]


def candidates(cells: Sequence[CellSource], dev: DevScores) -> dict[str, Candidate]:
    """The regimes of the cells of one target, with their mean dev scores, in the experiment's order."""
    regimes: dict[str, list[float | None]] = {}
    for cell in cells:
        regimes.setdefault(cell.intermediate, []).append(dev.of(cell))
    return {regime: _candidate(scores) for regime, scores in regimes.items()}


def best_regime(found: Mapping[str, Candidate]) -> str | None:
    """The regime with the highest mean dev score; None if no regime has one."""
    scored = {regime: candidate.dev for regime, candidate in found.items() if candidate.dev is not None}
    return max(scored, key=lambda regime: scored[regime], default=None)


def best_cell(cells: Sequence[CellSource], dev: DevScores) -> CellSource:
    """The cell (that is, the seed) with the highest dev score, among the cells of one target and regime."""

    def known(cell: CellSource) -> float:
        score = dev.of(cell)
        return -math.inf if score is None else score

    return max(cells, key=known)


def _candidate(scores: Sequence[float | None]) -> Candidate:
    found = spread([score for score in scores if score is not None])
    return Candidate(None, 0, len(scores)) if found is None else Candidate(found.mean, found.n, len(scores))


def _selection_score(cell: CellSource, read_evaluation: ReadEvaluation) -> float | None:
    if cell.selection is None:
        return None
    record = read_evaluation(cell.stage, cell.selection)
    return None if record is None else main_value(get_task(cell.selection.task), record)


def _evaluated_score(cell: CellSource, read_evaluation: ReadEvaluation) -> float | None:
    """Mean dev score over languages; None if a language has none.

    If the cell has no dev evaluations but thresholds tuned on dev (BUCC), the F1 that these reached on dev is used.
    """
    specs = _on_dev(cell)
    values = []
    for spec in specs:
        record = read_evaluation(cell.stage, spec)
        if record is not None:
            values.append(
                main_value(get_task(spec.task), record)
                if spec.split == "dev"
                else record.get("extra", {}).get("tuned_f1")
            )
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(specs) else None


def _on_dev(cell: CellSource) -> list[EvaluationSpec]:
    """The evaluations on clean dev data; if there are none, the evaluations whose thresholds were tuned on dev data."""
    clean = [spec for spec in cell.evaluations if spec.condition is None]
    return [spec for spec in clean if spec.split == "dev"] or [spec for spec in clean if spec.tune is not None]
