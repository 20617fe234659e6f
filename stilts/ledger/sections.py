"""Types of the sections of a stage's record that later commands read. A record with other types counts as damaged."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, ValidationError

# A pair is a list in JSON, so its form is not checked strictly; its members are.
_Point = Annotated[tuple[StrictInt, StrictFloat | StrictInt], Field(strict=False)]
_Points = Annotated[tuple[StrictInt, list[float | None]], Field(strict=False)]


class _Section(BaseModel):
    """A part of a record. Fields that it does not declare are allowed; a field may be absent."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Part(_Section):
    steps: int = 0
    losses: list[float] = []
    first: list[float] = []


class _Train(_Section):
    steps: int = Field(default=1, ge=1)
    examples: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[_Point] = []
    best_step: int | None = None
    parts: dict[str, _Part] = {}


class _Chance(_Section):
    score: float = Field(default=0.0, ge=0.0, le=100.0)
    examples: int = 0


class _WatchedEvaluation(_Section):
    task: str
    split: str
    language: str


class _Watched(_Section):
    watched: list[_WatchedEvaluation]
    curve: list[_Points]


class _Dev(_Section):
    score: float | None = None
    parts: dict[str, float] = {}
    chance: dict[str, _Chance] = {}
    curve: list[_Point] = []
    languages: _Watched | None = None


class _Speed(_Section):
    kind: str = ""
    flops: float = 1.0
    device: str = ""
    evaluation_seconds: float | None = None
    setup_seconds: float | None = None


class _Runtime(_Section):
    ranks: int | None = None


class _Record(_Section):
    train: _Train = _Train()
    dev: _Dev = _Dev()
    speed: _Speed = _Speed()
    runtime: _Runtime = _Runtime()
    versions: dict[str, str] = {}
    weights_precision: str = ""
    host: str = ""
    finished: str = ""


def has_known_types(record: dict[str, Any]) -> bool:
    """Whether the sections of a stage's record have the types that they are written with."""
    try:
        _Record.model_validate(record)
    except (ValidationError, RecursionError):
        return False
    return True
