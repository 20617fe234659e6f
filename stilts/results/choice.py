"""The choice of an intermediate on dev data: which regime is best for a target, and which of its seeds.

Invariants: the choice never looks at a test score; regimes are compared by one kind of dev score; of equals the first
in the experiment's order wins.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stilts.identity.stage import EvaluationSpec
from stilts.results.scores import spread
from stilts.results.table import CellSource, ReadEvaluation, main_value
from stilts.tasks.base import get_task

STAND_IN = {"tatoeba": "bucc2018", "xquad": "mlqa", "tydiqa": "xquad"}
"""What has no dev data is chosen by a target of its kind: Tatoeba by BUCC (both search with the encoder as it is),
XQuAD by MLQA (one SQuAD stage serves both), TyDiQA, whose dev set is the test, by XQuAD's English dev set."""

_Score = Callable[[CellSource], float | None]


@dataclass(frozen=True)
class DevScores:
    """Dev scores for the choice of one target's intermediate.

    Attributes:
        source: what they are: `dev score of xnli (English)`; empty where there is none.
        by_cell: percent, by (intermediate, seed); None where one is not there.
    """

    source: str
    by_cell: Mapping[tuple[str, int], float | None]

    def of(self, cell: CellSource) -> float | None:
        """The score of a cell, perhaps of its stand-in."""
        return self.by_cell.get((cell.intermediate, cell.seed))


@dataclass(frozen=True)
class Candidate:
    """One regime: its mean dev score over n of the planned seeds; None where no seed has one."""

    dev: float | None
    n: int
    planned: int


def dev_scores(target: str, cells: Sequence[CellSource], read_evaluation: ReadEvaluation) -> DevScores:
    """The first kind of dev score that there is: on English dev, or on dev in all languages; the target's own, or its
    stand-in's.

    Args:
        cells: of one model, official ones (`CellSource.official`), of all targets.
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
    """Every evaluation that `dev_scores` may ask for."""
    return [*([cell.selection] if cell.selection is not None else []), *_on_dev(cell)]


def candidates(cells: Sequence[CellSource], dev: DevScores) -> dict[str, Candidate]:
    """The regimes of one target's cells, in the experiment's order."""
    regimes: dict[str, list[float | None]] = {}
    for cell in cells:
        regimes.setdefault(cell.intermediate, []).append(dev.of(cell))
    return {regime: _candidate(scores) for regime, scores in regimes.items()}


def best_regime(found: Mapping[str, Candidate]) -> str | None:
    """The one with the highest mean dev score; None where no regime has one."""
    scored = {regime: candidate.dev for regime, candidate in found.items() if candidate.dev is not None}
    return max(scored, key=lambda regime: scored[regime], default=None)


def best_cell(cells: Sequence[CellSource], dev: DevScores) -> CellSource:
    """Of the cells of one target and regime, the seed with the highest dev score."""

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
    """Mean over languages on dev, of evaluations or of what BUCC's thresholds reached; None where one is missing."""
    specs = _on_dev(cell)
    values = []
    for spec in specs:
        record = read_evaluation(cell.stage, spec)
        if record is not None:
            values.append(
                main_value(get_task(spec.task), record) if spec.split == "dev" else record["extra"].get("tuned_f1")
            )
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(specs) else None


def _on_dev(cell: CellSource) -> list[EvaluationSpec]:
    """Evaluations on clean dev data; where there are none, those whose thresholds were chosen on it."""
    clean = [spec for spec in cell.evaluations if spec.condition is None]
    return [spec for spec in clean if spec.split == "dev"] or [spec for spec in clean if spec.tune is not None]
