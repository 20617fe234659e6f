"""Search: which stage's recipe is tuned, over which values, and when a trial is given up. `load_tuning` reads it."""

import math
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, create_model, model_validator

from stilts.experiment.experiment import Experiment, PartDecl, SamplingDecl, annotation
from stilts.experiment.recipe import Frozen, Positive, Recipe

NOT_TUNED = ("seed", "selection", "evaluate_every")
"""Fields of a recipe that say how it is judged."""
LENGTHS = ("epochs", "max_steps", "max_tokens")
"""Fields of which the last that is given decides how long a stage trains."""
PROBABILITIES = "probabilities"


class Dimension(Frozen):
    """The values of one field: a range, with both ends, or some choices."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    """Every order of magnitude is as likely as the others."""
    step: int | float | None = None
    """Between neighbouring values, from `low` on; None: 1 where the field is a whole number, else any value."""
    choices: Annotated[tuple[int | float | str, ...], Field(min_length=2)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "Dimension":
        if (self.choices is None) == (self.low is None and self.high is None):
            raise ValueError("give low and high, or choices")
        if self.choices is not None:
            if self.log or self.step is not None:
                raise ValueError("log and step belong to low and high")
            if len(set(self.choices)) < len(self.choices):
                raise ValueError("a choice is given twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give both low and high")
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("a log range begins above 0, and has no step")
        if self.step is not None and self.step <= 0:
            raise ValueError("step must be above 0")
        return self

    @property
    def ends(self) -> tuple[int | float | str, ...]:
        """The choices, or both ends of the range."""
        return self.choices if self.choices is not None else (self.low or 0, self.high or 0)

    def holds(self, value: Any) -> bool:
        """Whether the value may be drawn."""
        if self.choices is not None:
            return value in self.choices
        if not isinstance(value, int | float) or not (self.ends[0] <= value <= self.ends[1]):  # type: ignore[operator]
            return False
        steps = 0.0 if self.step is None else (value - (self.low or 0)) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-9)


_FIELDS: dict[str, Any] = {name: field for name, field in Recipe.model_fields.items() if name not in NOT_TUNED}
_FIELDS |= SamplingDecl.model_fields

_DIMENSIONS: dict[str, Any] = {name: (Dimension | None, None) for name in _FIELDS}
_DIMENSIONS[PROBABILITIES] = (dict[str, Dimension] | None, None)
_Space: Any = create_model("_Space", __base__=Frozen, **_DIMENSIONS)


class Space(_Space):
    """The fields that are tuned: of `Recipe`; and of a mixture sampling, cap, temperature and the tasks' shares."""

    @model_validator(mode="after")
    def _values_can_be(self) -> "Space":
        dimensions = self.dimensions()
        if not dimensions:
            raise ValueError("name at least one field, such as learning_rate: {low: 1e-5, high: 1e-4, log: true}")
        problems = [problem for name, dimension in dimensions.items() for problem in _problems(name, dimension)]
        if problems:
            raise ValueError("; ".join(problems))
        lengths = [name for name in LENGTHS if name in dimensions]
        if len(lengths) > 1:
            raise ValueError(f"{' and '.join(lengths)} replace one another: tune one of them")
        return self

    def dimensions(self) -> dict[str, Dimension]:
        """By field, `probabilities.TASK` for a task's share, in a fixed order."""
        found = {name: getattr(self, name) for name in _FIELDS}
        shares = getattr(self, PROBABILITIES) or {}
        found |= {f"{PROBABILITIES}.{task}": dimension for task, dimension in shares.items()}
        return {name: dimension for name, dimension in found.items() if dimension is not None}


def is_whole(name: str) -> bool:
    """Whether a field of the space takes whole numbers alone."""
    return "integer" in (_problem(name, 1.5) or "")


def _problems(name: str, dimension: Dimension) -> Iterator[str]:
    if dimension.choices is None and not _is_number(name):
        yield f"{name} is no number: give choices"
        return
    steps = [] if dimension.step is None or not is_whole(name) else [dimension.step]
    for value in (*dimension.ends, *steps):
        if problem := _problem(name, value):
            yield f"{name}: {value} {problem}"


def _is_number(name: str) -> bool:
    return _problem(name, 0.5) is None or _problem(name, 64) is None


def _problem(name: str, value: Any) -> str | None:
    """Why a field cannot have a value; None where it can."""
    field = PartDecl.model_fields["probability"] if name.startswith(PROBABILITIES) else _FIELDS[name]
    try:
        TypeAdapter(annotation(field)).validate_python(value, strict=True)
    except ValidationError as error:
        return " or ".join(dict.fromkeys(detail["msg"].replace("Input s", "s") for detail in error.errors()))
    return None


class Stopping(Frozen):
    """Early stopping by asynchronous successive halving (ASHA; Li et al. 2020, arXiv:1810.05934).

    A trial is compared with the others at its first dev evaluation from `min_steps` on, and again at each `reduction`
    times as many steps; it goes on while it is among the best 1 / `reduction` of those that came as far.
    """

    min_steps: Positive
    """Optimizer steps."""
    reduction: Annotated[int, Field(ge=2)] = 3


class Search(Frozen):
    """What is tuned, over what, and how long."""

    model: str | None = None
    """None: the only one."""
    target: str | None = None
    """The target whose stage is tuned."""
    intermediate: str | None = None
    """The regime before that target, `none` by default; without a target: the regime one of whose stages is tuned."""
    stage: Annotated[int, Field(ge=0)] | None = None
    """Of the regime's stages, from 0; None: the last."""
    space: Space
    trials: Positive = 20
    """Configurations. The first is the experiment's own recipe, where the space holds it."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = None
    """A configuration is judged by the mean over them, and stopped early by the first alone; None: the experiment's
    first."""
    sampler_seed: Annotated[int, Field(ge=0)] = 0
    stopping: Stopping | None = None
    study: str | None = None
    """Database of the Optuna study, `postgresql://HOST/NAME`; None: `study.db` in the folder of the results."""

    @model_validator(mode="after")
    def _one_subject(self) -> "Search":
        if self.target is None and self.intermediate is None:
            raise ValueError("give target, or intermediate to tune a stage of that regime")
        if self.target is not None and self.stage is not None:
            raise ValueError("stage belongs to intermediate without target")
        return self


class Tuning(Experiment):
    """An experiment with a search. Its file may name another, over which it is laid."""

    experiment: str | None = None
    """File of the experiment, from the folder of this one; None: this file declares all of it."""
    search: Search
