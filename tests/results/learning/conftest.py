"""A target's stage with invented learning curves."""

from typing import Any

import pyarrow as pa

from stilts.experiment.recipe import Recipe
from stilts.identity.stage import DataRef, Part, StageSpec
from stilts.results.learning.stages import UsedStage

DEV = DataRef("xnli", "dev", "en", "sha256:dev")
SPEC = StageSpec("parent", (Part("xnli", 1, (), DEV, Recipe()),), None, Recipe())
ENGLISH = [(10, 50.0), (20, 70.0), (30, 60.0)]
DE, ZH = [40.0, 45.0, 55.0], [35.0, 41.0, 33.0]


def target_stage(seed: int = 1, scores: dict[tuple[str, str], list[float]] | None = None, **fields: Any) -> UsedStage:
    """A target stage with scores by (split, language) at three checkpoints; English dev chooses the second."""
    languages = None
    if scores is not None:
        watched = [{"task": "xnli", "split": split, "language": language} for split, language in scores]
        curve = [(step, [values[i] for values in scores.values()]) for i, (step, _) in enumerate(ENGLISH)]
        languages = {"watched": watched, "curve": curve}
    record = {
        "train": {"steps": 30, "losses": [(step, 1 / step) for step in range(1, 31)], "best_step": 20},
        "dev": {"curve": ENGLISH, "languages": languages},
    }
    place = ("base", "none", "xnli", "xnli", seed, f"stage-{seed}", "target", True, SPEC)
    return UsedStage(*place, **{"status": "done", "record": record, **fields})


def only(table: pa.Table, seed: int | None, language: str, split: str = "dev") -> dict[str, Any]:
    [row] = [
        row for row in table.to_pylist() if (row["seed"], row["language"], row["split"]) == (seed, language, split)
    ]
    return row
