"""Experiment: what a person declares in one YAML file or in Python. `load` reads a file, `plan` expands it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, create_model, field_validator, model_serializer, model_validator

from stilts.experiment.data import DataDecl, Revision
from stilts.experiment.machines import Cluster
from stilts.experiment.mistakes import InvalidExperiment, mistakes_of
from stilts.experiment.recipe import SEED_PARTS, Frozen, Positive, Recipe, Seed, SeedParts
from stilts.experiment.runtime import Runtime
from stilts.experiment.secrets import without_secrets

NONE = "none"
"""Name of the regime without an intermediate stage: the baseline of every comparison."""


def annotation(field: Any) -> Any:
    """The type of a model's field, with its bounds."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


_OPTIONAL: dict[str, Any] = {
    name: (annotation(field) | None, Field(None, description=field.description))
    for name, field in Recipe.model_fields.items()
    if name not in ("seed", "seed_parts")
}


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
"""A name that becomes part of file names."""

Language = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,19}$")]
"""A language code. It is part of file names and replaces `{lang}` in paths."""


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
            _check_distinct(self.languages)
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
    """One training stage of a regime: one task, or a mixture of tasks."""

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
    """The length of all stages of a regime together. Each stage gets a share by the sampling rule."""

    steps: Positive | None = None
    """Optimizer steps of all stages. Give either `steps` or `tokens`."""
    tokens: Positive | None = None
    """Training tokens of all stages, without padding."""

    @model_validator(mode="after")
    def _one_unit(self) -> "BudgetDecl":
        if (self.steps is None) == (self.tokens is None):
            raise ValueError("give exactly one of steps and tokens")
        return self


_Stages = list[str | StageDecl]
"""Stages as a file has them: a stage that is only a name trains the task of that name."""


class RegimeDecl(Frozen):
    """An intermediate regime: stages that are trained one after the other before the target."""

    stages: tuple[StageDecl, ...] = ()
    """The stages in order. A stage that is only a name trains the task of that name."""
    budget: BudgetDecl | None = None
    """The length of all stages together, in place of each stage's own."""

    @field_validator("stages", mode="before", json_schema_input_type=_Stages)
    @classmethod
    def _task_names(cls, value: Any) -> Any:
        return _stages(value)


class TokenizerDecl(Frozen):
    """A Unigram tokenizer like XLM-R's, trained on the training text of the task `mlm`."""

    vocab_size: Annotated[int, Field(ge=16, le=10**7)]
    """Number of subwords."""


class InitDecl(Frozen):
    """A randomly initialised encoder with a tokenizer of its own."""

    config: dict[str, Any]
    """Fields of the model's configuration in transformers; `model_type` names the architecture."""
    tokenizer: TokenizerDecl
    """The tokenizer to train."""
    seed: Seed = 0
    """Seed of the initial weights."""


class ModelDecl(Frozen):
    """A base model: give exactly one of `hub` (with `revision`), `path` and `init`."""

    hub: str | None = None
    """Id of a model on the hub, such as `FacebookAI/xlm-roberta-base`."""
    revision: Revision | None = None
    """Commit of the hub repository. It is required with `hub`, because it is part of every key."""
    shape: dict[str, Any] | None = None
    """Fields of a hub model's config.json (`model_type`, `hidden_size`, ...), for costs and checks before the model is
    downloaded. They are compared with the file before the first trial, and are part of no key."""
    path: str | None = None
    """Local folder of a checkpoint: config.json, model.safetensors and the tokenizer's files."""
    init: InitDecl | None = None
    """Start from random weights."""
    pretrain: tuple[StageDecl, ...] = ()
    """Stages that come before every regime (continued pretraining). Their seed is 0 unless one is given."""

    @model_validator(mode="after")
    def _one_origin(self) -> "ModelDecl":
        if sum(origin is not None for origin in (self.hub, self.path, self.init)) != 1:
            raise ValueError("give exactly one of hub, path and init")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("hub and revision go together: a pinned revision identifies the weights")
        if self.shape is not None and self.hub is None:
            raise ValueError("shape describes a hub model; of a local folder, config.json is read")
        return self

    @field_validator("pretrain", mode="before", json_schema_input_type=_Stages)
    @classmethod
    def _task_names(cls, value: Any) -> Any:
        return _stages(value)


class TargetDecl(Frozen):
    """How one target is trained and evaluated. What is not given is as the task declares it."""

    task: str | None = None
    """Name of the task. Empty: the target's own name. One task may be a target in several settings, under several
    names."""
    setting: Literal["zero-shot", "translate-train", "translate-train-all", "in-language", "in-language-all"] = (
        "zero-shot"
    )
    """zero-shot: trained on English. translate-train and in-language: one stage for each evaluated language, trained on
    the translated or own training set of the language. translate-train-all and in-language-all: one stage on the sets
    of all languages and English."""
    languages: Literal["all", "present"] | tuple[Language, ...] | None = None
    """Evaluated languages of this target. Empty: as `languages` of the experiment says."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Evaluation settings of this target (max_length, stride, layer, pooling ...)."""

    @field_validator("languages", mode="after")
    @classmethod
    def _distinct(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            _check_distinct(value)
        return value


class NoiseDecl(Frozen):
    """Noisy copies of the evaluated data, in addition to the clean data. They cost evaluations and no training."""

    kinds: Annotated[
        tuple[Literal["swap", "drop", "insert", "keyboard", "casing", "punctuation", "ocr"], ...], Field(min_length=1)
    ]
    """Kinds of noise."""
    rates: Annotated[tuple[Annotated[float, Field(gt=0, le=1, strict=False)], ...], Field(min_length=1)]
    """Rates of noise; 0.1 changes about one unit in ten."""
    seed: Seed = 0
    """Seed of the noise."""
    scope: Literal["all", "question"] = "all"
    """Question answering. all: change contexts and questions, and move the answers along. question: change questions
    only."""
    targets: tuple[str, ...] | None = None
    """Targets that are evaluated under noise. Empty: every target."""

    @field_validator("kinds", "rates", "targets", mode="after")
    @classmethod
    def _distinct(cls, value: Any) -> Any:
        if value is not None:
            _check_distinct(value)
        return value


class CurvesDecl(Frozen):
    """Scores of a target's stage in other languages, taken whenever the stage is evaluated on English dev.

    They go into the record and show what another choice of the checkpoint would have given. They choose nothing and are
    part of no key: a stage that is already trained stays as it is, without them.
    """

    languages: Literal["present"] | Annotated[tuple[Language, ...], Field(min_length=1)] = "present"
    """Languages to score. present: every language of the target whose file exists and has gold labels."""
    splits: Annotated[tuple[Literal["dev", "test"], ...], Field(min_length=1)] = ("dev",)
    """Splits to score. With both, a choice of the checkpoint on dev can be judged on test; with one, it is judged on
    the data that chose it."""
    examples: Positive | None = None
    """Score the first N examples of each language only. Empty: all."""

    @field_validator("languages", "splits", mode="after")
    @classmethod
    def _distinct(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            _check_distinct(value)
            if "en" in value:
                raise ValueError("en is scored anyway: by English dev the weights are selected")
        return value


AVERAGES = ("classification", "tagging", "qa", "retrieval", "multi_choice", "xtreme", "xtreme-r")
"""Columns of result tables that are means over targets. No target may have one of these names."""


SeedOrSeeds = Seed | Annotated[tuple[Seed, ...], Field(min_length=1)]


class SeedPartsDecl(Frozen):
    """Sources of randomness that do not follow a cell's seed: fixed at one number in all cells, or with a list of
    numbers, one for each of `seeds`, in their order. What is not given follows the cell's seed."""

    order: SeedOrSeeds | None = None
    """Order of the examples, and of the tasks of a mixture."""
    head: SeedOrSeeds | None = None
    """Initial weights of fresh heads."""
    dropout: SeedOrSeeds | None = None
    """Dropout masks."""
    data: SeedOrSeeds | None = None
    """Examples that `max_examples` draws, and tokens that masked language modelling hides."""

    def of(self, index: int) -> SeedParts:
        """The parts of the cells that have the seed at this place of `seeds`."""
        given = {part: getattr(self, part) for part in SEED_PARTS}
        return SeedParts(**{part: v[index] if isinstance(v, tuple) else v for part, v in given.items()})


class Experiment(Frozen):
    """Base models x intermediate regimes x targets x seeds, and how to run them.

    Fields that hold a mapping or a list take plain dictionaries and lists, as YAML has them; `stilts fields` describes
    every one.

    Raises:
        InvalidExperiment: every mistake, with the path of its field.

    Example:
        >>> import stilts
        >>> experiment = stilts.Experiment(
        ...     name="first",
        ...     seeds=[1, 2, 3],
        ...     models={"xlmr": {"hub": "FacebookAI/xlm-roberta-base", "revision": "e73636d4f797"}},
        ...     intermediates=["none", "mnli"],
        ...     targets=["xnli", "tatoeba"],
        ...     recipe={"epochs": 2},
        ... )
        >>> experiment.seeds
        (1, 2, 3)
        >>> list(experiment.targets)
        ['xnli', 'tatoeba']
    """

    name: Name
    """Name of the experiment. It is part of file names; two experiments of one store need two names."""
    store: str = "stilts-store"
    """Where models, predictions and records are kept: a folder, or a URI such as `s3://bucket/path`. Experiments that
    use the same store share their stages."""
    results: str | None = None
    """Folder of the tables, figures and the report. Default: `results/NAME`."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    """Random seeds. Each cell is trained once per seed."""
    seed_parts: SeedPartsDecl = SeedPartsDecl()
    """Seeds of the order of the examples, of fresh heads, of dropout and of the data (subsets, masks), each fixed or
    varied on its own: `{head: 1, data: 1}` leaves order and dropout to `seeds`."""
    models: Annotated[dict[Name, ModelDecl], Field(min_length=1)]
    """Base models by name."""
    intermediates: Annotated[dict[Name, RegimeDecl], Field(min_length=1)]
    """Intermediate regimes: a list of task names, or a mapping of names to stages. `none` is the regime without an
    intermediate stage, the baseline of every comparison."""
    targets: Annotated[dict[Name, TargetDecl], Field(min_length=1)]
    """Target tasks: a list of task names, or a mapping of names to settings."""
    benchmark: str = "xtreme"
    """Benchmark whose languages and averages are used: `xtreme` or `xtreme-r`."""
    languages: Literal["all", "present"] | tuple[Language, ...] = "all"
    """Languages in which targets are evaluated. all: every language of the benchmark, a missing file is an error.
    present: those whose files exist. Masked language modelling reads every language whose text exists, independently of
    this."""
    splits: Annotated[tuple[Literal["dev", "test"], ...], Field(min_length=1)] = ("test",)
    """Splits on which targets are evaluated."""
    noise: NoiseDecl | None = None
    """Evaluate under noise, too."""
    curves: CurvesDecl | None = None
    """Score the target stages in other languages while they train, too."""
    recipe: RecipeFields = RecipeFields()
    """Recipe fields for every stage."""
    recipes: dict[str, RecipeFields] = Field(default_factory=dict)
    """Recipe fields by training task (`squad` for xquad and mlqa). They have precedence over `recipe`."""
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Evaluation settings by task (max_length, stride, layer, pooling ...). Those of a target have precedence."""
    intermediate_seeds: Literal["own", "shared", "crossed"] = "own"
    """Seeds of the intermediate stages. own: the seed of the cell. shared: the first seed for all cells, so that
    intermediate stages are trained once and only the seed of the target stage varies. crossed: every seed of the
    intermediate stages is combined with every seed of the target stage, which shows how much variance comes from which
    phase."""
    data: DataDecl = DataDecl()
    """Where the data is read from. Without it, data sets come from the hub at pinned revisions."""
    runtime: Runtime = Runtime()
    """Resources, memory and retries. Nothing in it changes a key."""
    cluster: Cluster | None = None
    """Machines and prices, for `plan` and for `--max-cost`. It does not change how stages run."""

    def __init__(self, /, **fields: Any) -> None:
        fields, secrets = without_secrets(fields)
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InvalidExperiment([*secrets, *mistakes_of(type(self), error)]) from None
        if secrets:
            raise InvalidExperiment(secrets)

    @model_validator(mode="after")
    def _seed_parts_vary(self) -> "Experiment":
        given = {part: getattr(self.seed_parts, part) for part in SEED_PARTS}
        for part, value in given.items():
            if isinstance(value, tuple) and len(value) != len(self.seeds):
                raise ValueError(f"seed_parts.{part}: give one number for each of the {len(self.seeds)} seeds")
        cells = [self.seed_parts.of(index) for index in range(len(self.seeds))]
        full = [parts for parts in cells if None not in parts.model_dump().values()]
        repeated = next((parts for i, parts in enumerate(full) if parts in full[:i]), None)
        if repeated is not None:
            numbers = ", ".join(f"{part} {seed}" for part, seed in repeated.model_dump().items())
            raise ValueError(f"seed_parts: two of the seeds would train the same models ({numbers}); leave a part out")
        return self

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

    @field_validator(
        "intermediates", mode="before", json_schema_input_type=list[str] | dict[Name, _Stages | RegimeDecl | None]
    )
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

    @field_validator("targets", mode="before", json_schema_input_type=list[str] | dict[Name, TargetDecl | None])
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
    """Lists as tuples, at any depth: strict validation takes no list for a tuple."""
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
