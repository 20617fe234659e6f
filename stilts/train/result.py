"""The result of the training of a stage: what was seen, the losses and the dev scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LAST = 10
"""How many of the first and of the last losses of each task a record keeps."""


@dataclass
class PartResult:
    """Result of the training of one task of a stage.

    Attributes:
        steps: optimizer steps that trained this task.
        examples, tokens: as in `TrainResult`.
        losses: mean losses of its last steps, at most LAST.
        first: mean losses of its first steps, at most LAST.
    """

    steps: int = 0
    examples: int = 0
    tokens: int = 0
    losses: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)


@dataclass
class TrainResult:
    """Result of the training of a stage.

    Attributes:
        steps: optimizer steps.
        examples: number of items seen; an item counts each time it is seen.
        tokens: number of tokens seen on all ranks, without padding.
        seconds: wall-clock time, including dev evaluations and earlier attempts.
        evaluation_seconds: the part of `seconds` that dev evaluations took.
        losses: (step, mean loss of the step); steps are counted from 1.
        dev: (step, dev score); the score is the unweighted mean over the tasks with dev data.
        dev_parts: the score of each task, for each entry of `dev`.
        watched: (step, scores of the watched evaluations), at the same steps as `dev`.
        best_step: the step whose weights are the result of the stage.
        parts: results by task name.
        how: how the last attempt computed: `engine` (`deepspeed` or `torch`), `attention` (`flash`, `segments`,
            `masks`, or transformers' name of it) and `compile` (`on` or `off`). Results agree up to rounding.
    """

    steps: int = 0
    examples: int = 0
    tokens: int = 0
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)
    dev: list[tuple[int, float]] = field(default_factory=list)
    dev_parts: list[dict[str, float]] = field(default_factory=list)
    watched: list[tuple[int, list[float]]] = field(default_factory=list)
    best_step: int = 0
    parts: dict[str, PartResult] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "TrainResult":
        """Build a result from the JSON form of `dataclasses.asdict`."""
        pairs = {name: [(int(step), float(value)) for step, value in data[name]] for name in ("losses", "dev")}
        parts = {task: PartResult(**part) for task, part in data["parts"].items()}
        watched = [(int(step), list(map(float, scores))) for step, scores in data.get("watched", ())]
        return cls(**{**data, **pairs, "parts": parts, "watched": watched})
