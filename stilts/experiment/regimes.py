"""Regimes: the stages between a base model and a target, and what each of them trains."""

from typing import Annotated, Any, Literal

from pydantic import Field, create_model, field_validator, model_serializer, model_validator

from stilts.experiment.names import Language, check_distinct, check_plain_names, tuples
from stilts.experiment.recipe import Frozen, Positive, Recipe, Seed


def annotation(field: Any) -> Any:
    """The type of a model's field, with its bounds."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


_OPTIONAL: dict[str, Any] = {
    name: (annotation(field) | None, Field(None, description=field.description))
    for name, field in Recipe.model_fields.items()
    if name not in ("seed", "seed_parts")
}


class _Partial(Frozen):
    """Dumps only the fields that were given, so that an explicit `null` stays one (`epochs: null`)."""

    @model_serializer(mode="wrap")
    def _only_given(self, handler: Any) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}


RecipeFields: Any = create_model(
    "RecipeFields",
    __base__=_Partial,
    __doc__="Any of the fields of a recipe, except the seed. A field that is not given keeps the task's own value.",
    **_OPTIONAL,
)


class TrainingData(Frozen):
    """The languages in which a task is trained."""

    training: Literal["english", "translated", "in-language"] = "english"
    """english: the English training set. translated: that set translated to other languages
    (`data.tasks.NAME.translated`). in-language: the training sets of the other languages."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] | None = None
    """Languages of the training data. Empty: every language whose file exists. Among translated languages, `en` means
    the original. Masked language modelling reads every language whose text exists, unless this names some."""

    @model_validator(mode="after")
    def _distinct_languages(self) -> "TrainingData":
        if self.languages is not None:
            check_distinct(self.languages)
        return self


class PartDecl(TrainingData):
    """One task of a mixture."""

    recipe: RecipeFields = RecipeFields()
    """Lengths, masking and max_examples of this task. The optimisation is that of the stage."""
    probability: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the steps. Empty: a share, by the sampling rule, of what the other tasks leave."""


class SamplingDecl(Frozen):
    """How tasks share the optimizer steps."""

    sampling: Literal["proportional", "temperature", "uniform"] = "proportional"
    """proportional: shares are proportional to min(examples, cap). temperature: to min(examples, cap) to the power of
    1 / temperature. uniform: equal shares."""
    cap: Positive = 2**17
    """Largest number of examples that counts for a task."""
    temperature: Annotated[float, Field(ge=1, le=1e6, strict=False)] = 2.0
    """Temperature of the sampling rule of that name. 1: proportional shares; the higher, the more equal."""


class MixDecl(SamplingDecl):
    """Several tasks in one stage. Each step trains one of them."""

    tasks: Annotated[dict[str, PartDecl], Field(min_length=2)]
    """The tasks, as a list of names or as a mapping of names to settings."""

    @field_validator("tasks", mode="before", json_schema_input_type=list[str] | dict[str, PartDecl | None])
    @classmethod
    def _task_names(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            check_plain_names(value, "a task of a mixture")
            return {name: {} for name in value}
        if isinstance(value, dict):
            return {name: {} if decl is None else tuples(decl) for name, decl in value.items()}
        return value

    @model_validator(mode="after")
    def _probabilities_add_up(self) -> "MixDecl":
        given = [part.probability for part in self.tasks.values() if part.probability is not None]
        total, all_given = sum(given), len(given) == len(self.tasks)
        if all_given and abs(total - 1) > 1e-6:
            raise ValueError(f"the probabilities of all tasks add up to {total:g}, not to 1")
        if not all_given and total >= 1:
            raise ValueError(f"the probabilities add up to {total:g} and leave nothing for the other tasks")
        return self


class StageDecl(TrainingData):
    """Declares one training stage of a regime, which trains on one task or on a mixture of tasks."""

    task: str | None = None
    """Name of the task. Give either `task` or `mix`."""
    mix: MixDecl | None = None
    """Several tasks that are trained together."""
    recipe: RecipeFields = RecipeFields()
    """Fields of the recipe of this stage alone."""
    seed: Seed | None = None
    """A fixed seed in place of the cell's, so that the cells of all seeds share this stage."""

    @model_validator(mode="after")
    def _one_subject(self) -> "StageDecl":
        if (self.task is None) == (self.mix is None):
            raise ValueError("give exactly one of task and mix")
        if self.mix is not None and (self.training != "english" or self.languages is not None):
            raise ValueError("training and languages belong to the tasks of a mix: mix: {tasks: {NAME: {...}}}")
        return self


class BudgetDecl(SamplingDecl):
    """The total length of all stages of a regime. The sampling rule decides which share of it each stage gets."""

    steps: Positive | None = None
    """Optimizer steps of all stages. Give either `steps` or `tokens`."""
    tokens: Positive | None = None
    """Training tokens of all stages, without padding."""

    @model_validator(mode="after")
    def _one_unit(self) -> "BudgetDecl":
        if (self.steps is None) == (self.tokens is None):
            raise ValueError("give exactly one of steps and tokens")
        return self


Stages = list[str | StageDecl]
"""Stages as a file has them: a stage that is only a name trains the task of that name."""


class RegimeDecl(Frozen):
    """An intermediate regime: stages that are trained one after the other before the target."""

    stages: tuple[StageDecl, ...] = ()
    """The stages in order. A stage that is only a name trains the task of that name."""
    budget: BudgetDecl | None = None
    """The length of all stages together, in place of each stage's own."""

    @field_validator("stages", mode="before", json_schema_input_type=Stages)
    @classmethod
    def _task_names(cls, value: Any) -> Any:
        return stages_of(value)


def regime_of(name: str, value: Any) -> Any:
    """A list of stages alone is a regime without a budget."""
    if isinstance(value, list | tuple):
        return {"stages": stages_of(value)}
    if not isinstance(value, dict):
        raise ValueError(f"{name!r} should be a list of stages, not {value!r}")
    return tuples(value)


def stages_of(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return tuple({"task": stage} if isinstance(stage, str) else tuples(stage) for stage in value)
