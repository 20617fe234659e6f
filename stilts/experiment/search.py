"""Search: which stage is tuned, over which values, and when a trial is stopped early. `load_tuning` reads a file."""

import math
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, create_model, model_validator

from stilts.experiment.experiment import Experiment
from stilts.experiment.recipe import MOST, Frozen, Positive, Recipe, Seed
from stilts.experiment.regimes import PartDecl, SamplingDecl, annotation

NOT_TUNED = ("seed", "seed_parts", "selection", "evaluate_every")
"""Fields of a recipe that decide how a trial is judged, so that they cannot be tuned."""
LENGTHS = ("epochs", "max_steps", "max_tokens")
"""Fields that set the length of a stage. Of those that are given, the last one counts."""
PROBABILITIES = "probabilities"


class Dimension(Frozen):
    """The values of one field: a range that includes both ends, or a list of choices."""

    low: int | float | None = None
    """Lower end of the range."""
    high: int | float | None = None
    """Upper end of the range."""
    log: bool = False
    """Sample on a logarithmic scale."""
    step: int | float | None = None
    """Distance between two neighbouring values, from `low` on. Empty: 1 for whole numbers, else any value."""
    choices: Annotated[tuple[int | float | str, ...], Field(min_length=2)] | None = None
    """Values to choose from, in place of a range."""

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
        """Whether the value can be sampled."""
        if self.choices is not None:
            return value in self.choices
        if not isinstance(value, int | float) or not (self.ends[0] <= value <= self.ends[1]):  # type: ignore[operator]
            return False
        steps = 0.0 if self.step is None else (value - (self.low or 0)) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-9)


_FIELDS: dict[str, Any] = {name: field for name, field in Recipe.model_fields.items() if name not in NOT_TUNED}
_FIELDS |= SamplingDecl.model_fields

_DIMENSIONS: dict[str, Any] = {
    name: (Dimension | None, Field(None, description=f"Values to try for `{name}`.")) for name in _FIELDS
}
_DIMENSIONS[PROBABILITIES] = (
    dict[str, Dimension] | None,
    Field(None, description="Values to try for the share of a task of a mixture, by task."),
)
_Space: Any = create_model("_Space", __base__=Frozen, **_DIMENSIONS)


class Space(_Space):
    """The fields to tune: those of a recipe, and sampling, cap, temperature and shares of the tasks of a mixture."""

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
    times as many steps; it continues while it is among the best 1 / `reduction` of those that came as far.
    """

    min_steps: Positive
    """Optimizer steps before the first comparison."""
    reduction: Annotated[int, Field(ge=2, le=MOST)] = 3
    """One trial in so many continues after each comparison."""


class Search(Frozen):
    """What is tuned, over which values, and how many trials."""

    model: str | None = None
    """Base model. It may be left out if the experiment has only one."""
    target: str | None = None
    """Target whose stage is tuned."""
    intermediate: str | None = None
    """With `target`: the regime before it, `none` by default. Without: the regime of which one stage is tuned."""
    stage: Annotated[int, Field(ge=0, le=MOST)] | None = None
    """Which stage of the regime is tuned, counted from 0. Empty: the last."""
    space: Space
    """Values to try, by field."""
    trials: Positive = 20
    """Number of configurations. The first is the experiment's own recipe, if the space contains it."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] | None = None
    """Seeds of each configuration, which is judged by their mean; early stopping looks at the first. Empty: the first
    seed of the experiment."""
    sampler_seed: Seed = 0
    """Seed of Optuna's sampler."""
    stopping: Stopping | None = None
    """Stop trials early. Empty: every trial trains to its end."""
    study: str | None = None
    """Database of the Optuna study, such as `postgresql://HOST/NAME`. Empty: it lies in the store."""

    @model_validator(mode="after")
    def _one_subject(self) -> "Search":
        if self.target is None and self.intermediate is None:
            raise ValueError("give target, or intermediate to tune a stage of that regime")
        if self.target is not None and self.stage is not None:
            raise ValueError("stage belongs to intermediate without target")
        return self


class Tuning(Experiment):
    """An experiment with a search. Its file may name the file of an experiment and override fields of it."""

    experiment: str | None = None
    """File of the experiment, relative to the folder of this file. Empty: this file declares all of the experiment."""
    search: Search
    """What is tuned."""
