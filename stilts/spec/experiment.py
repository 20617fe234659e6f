"""Experiment: what a person declares in one YAML file. `load` reads it; `plan` gives it meaning."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, create_model, field_validator, model_serializer, model_validator

from stilts.spec.data import DataDecl
from stilts.spec.recipe import Frozen, Positive, Recipe
from stilts.spec.runtime import Runtime

NONE = "none"
"""Name of the regime without an intermediate stage: the baseline of every comparison."""


def _annotation(field: Any) -> Any:
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


_OPTIONAL: dict[str, Any] = {
    name: (_annotation(field) | None, None) for name, field in Recipe.model_fields.items() if name != "seed"
}


class _Partial(Frozen):
    """Keeps what was given apart from what was not: `null` is a value (`epochs: null`)."""

    @model_serializer(mode="wrap")
    def _only_given(self, handler: Any) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}


RecipeFields: Any = create_model(
    "RecipeFields",
    __base__=_Partial,
    __doc__="Any subset of the fields of `Recipe` but the seed; what is not given keeps the task's own value.",
    **_OPTIONAL,
)


class StageDecl(Frozen):
    """One training stage of a regime."""

    task: str
    recipe: RecipeFields = RecipeFields()
    seed: Annotated[int, Field(ge=0)] | None = None
    """A fixed seed in place of the cell's, so that all seeds share the stage."""


class TokenizerDecl(Frozen):
    """A Unigram tokenizer in XLM-R's form, trained on the training text of the task `mlm`."""

    vocab_size: Positive


class InitDecl(Frozen):
    """A randomly initialised encoder: fields of its transformers config, and a tokenizer of its own."""

    config: dict[str, Any]
    tokenizer: TokenizerDecl
    seed: Annotated[int, Field(ge=0)] = 0


class ModelDecl(Frozen):
    """A base model: a hub id with its revision, a local checkpoint folder, or a random initialisation."""

    hub: str | None = None
    revision: str | None = None
    """Commit of the hub repository; pinned, because it is part of every key."""
    path: str | None = None
    init: InitDecl | None = None
    pretrain: tuple[StageDecl, ...] = ()
    """Stages before every regime, the same for all of them (continued pretraining); their seed is 0 unless given."""

    @model_validator(mode="after")
    def _one_origin(self) -> "ModelDecl":
        if sum(origin is not None for origin in (self.hub, self.path, self.init)) != 1:
            raise ValueError("give exactly one of hub, path and init")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("hub and revision go together: a pinned revision identifies the weights")
        return self

    @field_validator("pretrain", mode="before")
    @classmethod
    def _task_names(cls, value: Any) -> Any:
        return _stages(value)


class TargetDecl(Frozen):
    """How one target is evaluated, where it differs from the task's own way."""

    languages: Literal["all", "present"] | tuple[str, ...] | None = None
    settings: dict[str, Any] = Field(default_factory=dict)

    @field_validator("languages", mode="after")
    @classmethod
    def _distinct(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            _check_distinct(value)
        return value


class Experiment(Frozen):
    """Base models x intermediate regimes x targets x seeds, and how to run them."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    store: str = "stilts-store"
    results: str | None = None
    """Folder of the tables; default `results/NAME`."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    models: Annotated[dict[str, ModelDecl], Field(min_length=1)]
    intermediates: Annotated[dict[str, tuple[StageDecl, ...]], Field(min_length=1)]
    targets: Annotated[dict[str, TargetDecl], Field(min_length=1)]
    languages: Literal["all", "present"] | tuple[str, ...] = "all"
    """Of the targets. all: every language, a missing file is an error; present: those whose files are there.
    Masked language modelling trains on every language whose text is there, whatever is evaluated."""
    splits: Annotated[tuple[Literal["dev", "test"], ...], Field(min_length=1)] = ("test",)
    recipe: RecipeFields = RecipeFields()
    """Fields for every stage."""
    recipes: dict[str, RecipeFields] = Field(default_factory=dict)
    """Fields by training task (`squad` for xquad and mlqa); they win over `recipe`."""
    share_intermediate_seeds: bool = False
    """Train intermediate stages once, with the first seed, and vary the seed of the target stage alone."""
    data: DataDecl = DataDecl()
    runtime: Runtime = Runtime()

    @field_validator("seeds", "splits", "languages", mode="after")
    @classmethod
    def _distinct(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            _check_distinct(value)
        return value

    @field_validator("intermediates", mode="before")
    @classmethod
    def _regimes(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            _check_plain_names(value, "a regime")
            value = {str(name): [] if name == NONE else [name] for name in value}
        if not isinstance(value, dict):
            return value
        if value.get(NONE):
            raise ValueError(f"the regime {NONE!r} is the baseline and has no stages")
        return {name: _stages(stages) for name, stages in value.items()}

    @field_validator("targets", mode="before")
    @classmethod
    def _target_names(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            _check_plain_names(value, "a target")
            return {str(name): {} for name in value}
        if isinstance(value, dict):
            return {name: {} if decl is None else _tuples(decl) for name, decl in value.items()}
        return value


def _tuples(value: Any) -> Any:
    """Lists as tuples: after a validator in Python, pydantic is strict about them as it is not about JSON."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _check_plain_names(value: Sequence[Any], what: str) -> None:
    if not all(isinstance(name, str) for name in value):
        raise ValueError(f"where {what} is more than a name, write all of them as a mapping, NAME: ...")
    _check_distinct(value)


def _check_distinct(value: Sequence[Any]) -> None:
    repeated = next((item for i, item in enumerate(value) if item in value[:i]), None)
    if repeated is not None:
        raise ValueError(f"{repeated!r} is given twice")


def _stages(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return tuple({"task": stage} if isinstance(stage, str) else stage for stage in value)
