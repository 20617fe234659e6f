"""Experiment: what a person declares in one YAML file. `load` reads it; `plan` gives it meaning."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, create_model, field_validator, model_serializer, model_validator

from stilts.experiment.data import DataDecl, Revision
from stilts.experiment.machines import Cluster
from stilts.experiment.recipe import Frozen, Positive, Recipe
from stilts.experiment.runtime import Runtime

NONE = "none"
"""Name of the regime without an intermediate stage: the baseline of every comparison."""


def annotation(field: Any) -> Any:
    """The type of a model's field, with its bounds."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


_OPTIONAL: dict[str, Any] = {
    name: (annotation(field) | None, None) for name, field in Recipe.model_fields.items() if name != "seed"
}


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
"""A name that is part of file names."""

Language = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,19}$")]
"""A language's code, which stands in file names and for `{lang}` in paths."""


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


class TrainingData(Frozen):
    """In which languages a task is trained."""

    training: Literal["english", "translated", "in-language"] = "english"
    """english: the task's training set. translated: that set in other languages (`data.tasks.NAME.translated`).
    in-language: the training sets that other languages have of their own."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] | None = None
    """Of the training data; None: every language whose file is there. English among translated ones is the original.
    Masked language modelling takes every language whose text is there unless some are named."""

    @model_validator(mode="after")
    def _distinct_languages(self) -> "TrainingData":
        if self.languages is not None:
            _check_distinct(self.languages)
        return self


class PartDecl(TrainingData):
    """One task of a mixture."""

    recipe: RecipeFields = RecipeFields()
    """Lengths, masking and max_examples of this task; the optimisation is the stage's."""
    probability: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the steps; None: its share, by the rule, of what the others leave."""


class SamplingDecl(Frozen):
    """How tasks share the steps."""

    sampling: Literal["proportional", "temperature", "uniform"] = "proportional"
    """proportional: to min(examples, cap); temperature: to that to the power 1 / temperature; uniform: equal shares."""
    cap: Positive = 2**17
    temperature: Annotated[float, Field(ge=1, strict=False)] = 2.0


class MixDecl(SamplingDecl):
    """Several tasks in one stage, one of them at each step."""

    tasks: Annotated[dict[str, PartDecl], Field(min_length=2)]

    @field_validator("tasks", mode="before")
    @classmethod
    def _task_names(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            _check_plain_names(value, "a task of a mixture")
            return {name: {} for name in value}
        if isinstance(value, dict):
            return {name: {} if decl is None else _tuples(decl) for name, decl in value.items()}
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
    """One training stage of a regime: of one task, or of a mixture of tasks."""

    task: str | None = None
    mix: MixDecl | None = None
    recipe: RecipeFields = RecipeFields()
    seed: Annotated[int, Field(ge=0)] | None = None
    """A fixed seed in place of the cell's, so that all seeds share the stage."""

    @model_validator(mode="after")
    def _one_subject(self) -> "StageDecl":
        if (self.task is None) == (self.mix is None):
            raise ValueError("give exactly one of task and mix")
        if self.mix is not None and (self.training != "english" or self.languages is not None):
            raise ValueError("training and languages belong to the tasks of a mix: mix: {tasks: {NAME: {...}}}")
        return self


class BudgetDecl(SamplingDecl):
    """What all stages of a regime may cost together; each gets its share by the rule, as the tasks of a mixture do."""

    steps: Positive | None = None
    tokens: Positive | None = None

    @model_validator(mode="after")
    def _one_unit(self) -> "BudgetDecl":
        if (self.steps is None) == (self.tokens is None):
            raise ValueError("give exactly one of steps and tokens")
        return self


class RegimeDecl(Frozen):
    """An intermediate regime: stages in their order, perhaps with a budget for all of them."""

    stages: tuple[StageDecl, ...] = ()
    budget: BudgetDecl | None = None

    @field_validator("stages", mode="before")
    @classmethod
    def _task_names(cls, value: Any) -> Any:
        return _stages(value)


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
    revision: Revision | None = None
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
    """How one target is trained and evaluated, where it differs from the task's own way."""

    task: str | None = None
    """None: the target's own name. One task may be a target in several settings, each under a name of its own."""
    setting: Literal["zero-shot", "translate-train", "translate-train-all", "in-language", "in-language-all"] = (
        "zero-shot"
    )
    """zero-shot: trained on English. translate-train, in-language: a stage for each evaluated language, trained on its
    translated or its own training set. -all: one stage on those of all languages, and English."""
    languages: Literal["all", "present"] | tuple[Language, ...] | None = None
    settings: dict[str, Any] = Field(default_factory=dict)

    @field_validator("languages", mode="after")
    @classmethod
    def _distinct(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            _check_distinct(value)
        return value


class NoiseDecl(Frozen):
    """Noisy copies of the evaluated data, beside the clean ones; they cost evaluations and no training."""

    kinds: Annotated[
        tuple[Literal["swap", "drop", "insert", "keyboard", "casing", "punctuation", "ocr"], ...], Field(min_length=1)
    ]
    rates: Annotated[tuple[Annotated[float, Field(gt=0, le=1, strict=False)], ...], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)] = 0
    scope: Literal["all", "question"] = "all"
    """Question answering: perturb all text and move the answers along, or the questions alone."""
    targets: tuple[str, ...] | None = None
    """None: every target."""

    @field_validator("kinds", "rates", "targets", mode="after")
    @classmethod
    def _distinct(cls, value: Any) -> Any:
        if value is not None:
            _check_distinct(value)
        return value


class CurvesDecl(Frozen):
    """Languages other than English in which a target's stage is scored, too, wherever it is scored on English dev.

    The scores go into its record, to tell what another choice of the checkpoint would have given. They choose nothing,
    and are part of no key: a stage that is trained already stays as it is, without them.
    """

    languages: Literal["present"] | Annotated[tuple[Language, ...], Field(min_length=1)] = "present"
    """present: every language of the target whose file is there, with gold."""
    splits: Annotated[tuple[Literal["dev", "test"], ...], Field(min_length=1)] = ("dev",)
    """With both, an oracle that chooses on dev can be told by test; with one, it is told by what it has chosen on."""
    examples: Positive | None = None
    """The first N of each language; None: all."""

    @field_validator("languages", "splits", mode="after")
    @classmethod
    def _distinct(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            _check_distinct(value)
            if "en" in value:
                raise ValueError("en is scored anyway: by English dev the weights are selected")
        return value


AVERAGES = ("classification", "tagging", "qa", "retrieval", "multi_choice", "xtreme", "xtreme-r")
"""Columns of result tables that are means over targets: no target is called so."""


class Experiment(Frozen):
    """Base models x intermediate regimes x targets x seeds, and how to run them."""

    name: Name
    store: str = "stilts-store"
    results: str | None = None
    """Folder of the tables; default `results/NAME`."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    models: Annotated[dict[Name, ModelDecl], Field(min_length=1)]
    intermediates: Annotated[dict[Name, RegimeDecl], Field(min_length=1)]
    targets: Annotated[dict[Name, TargetDecl], Field(min_length=1)]
    benchmark: Literal["xtreme", "xtreme-r"] = "xtreme"
    """Whose language lists and averages: XTREME's, or XTREME-R's longer ones."""
    languages: Literal["all", "present"] | tuple[Language, ...] = "all"
    """Of the targets. all: every language, a missing file is an error; present: those whose files are there.
    Masked language modelling trains on every language whose text is there, whatever is evaluated."""
    splits: Annotated[tuple[Literal["dev", "test"], ...], Field(min_length=1)] = ("test",)
    noise: NoiseDecl | None = None
    curves: CurvesDecl | None = None
    recipe: RecipeFields = RecipeFields()
    """Fields for every stage."""
    recipes: dict[str, RecipeFields] = Field(default_factory=dict)
    """Fields by training task (`squad` for xquad and mlqa); they win over `recipe`."""
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Evaluation settings by task (max_length, stride, layer ...); a target's own win over them."""
    intermediate_seeds: Literal["own", "shared", "crossed"] = "own"
    """Seed of a cell's intermediate stages. own: the cell's. shared: the first seed for all, so that they train once
    and the seed of the target stage alone varies. crossed: each seed of the intermediate stages meets each seed of the
    target stage, which tells how much of the spread comes from which phase."""
    data: DataDecl = DataDecl()
    runtime: Runtime = Runtime()
    cluster: Cluster | None = None
    """The machines and their prices, for `plan` and for limits of cost; it changes nothing of how stages run."""

    @model_validator(mode="after")
    def _trials_fit(self) -> "Experiment":
        if self.cluster is not None:
            try:
                self.cluster.check_room(self.runtime)
            except ValueError as error:
                raise ValueError(f"cluster: {error}") from None
        return self

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
        regimes = {name: _regime(name, regime) for name, regime in value.items()}
        if regimes.get(NONE, {}).get("stages"):
            raise ValueError(f"the regime {NONE!r} is the baseline and has no stages")
        return regimes

    @field_validator("targets", mode="before")
    @classmethod
    def _target_names(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            _check_plain_names(value, "a target")
            return {str(name): {} for name in value}
        if not isinstance(value, dict):
            return value
        taken = next((name for name in value if name in AVERAGES), None)
        if taken is not None:
            raise ValueError(f"{taken!r} is the name of an average in the tables; give the target another")
        return {name: {} if decl is None else _tuples(decl) for name, decl in value.items()}


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


def _regime(name: str, value: Any) -> Any:
    """A list of stages alone is a regime without a budget."""
    if isinstance(value, list | tuple):
        return {"stages": _stages(value)}
    if not isinstance(value, dict):
        raise ValueError(f"{name!r} should be a list of stages, not {value!r}")
    return _tuples(value)


def _stages(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return tuple({"task": stage} if isinstance(stage, str) else _tuples(stage) for stage in value)
