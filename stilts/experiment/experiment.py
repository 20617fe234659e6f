"""Experiment: what a person declares in one YAML file or in Python. `load` reads a file, `plan` expands it."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from stilts.experiment.benchmarks import BenchmarkDecl, benchmark_given
from stilts.experiment.claims import ClaimDecl
from stilts.experiment.data import DataDecl, TaskSource
from stilts.experiment.machines import Cluster
from stilts.experiment.mistakes import InvalidExperiment, mistakes_of
from stilts.experiment.models import ModelDecl
from stilts.experiment.names import Language, Name, check_distinct, check_plain_names, tuples
from stilts.experiment.recipe import SEED_PARTS, Frozen, Positive, Seed, SeedParts
from stilts.experiment.regimes import RecipeFields, RegimeDecl, Stages, regime_of
from stilts.experiment.runtime import Runtime
from stilts.experiment.secrets import without_secrets
from stilts.experiment.tasks import TaskFile, read_files, sources_of
from stilts.places import check_folder, check_store

NONE = "none"
"""Name of the regime without an intermediate stage: the baseline of every comparison."""


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
            check_distinct(value)
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
            check_distinct(value)
        return value

    @field_validator("rates", mode="after")
    @classmethod
    def _distinct_as_shown(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        # Tables name a condition by six digits of its rate, so that closer rates would share their rows.
        check_distinct([f"{rate:g}" for rate in value])
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
            check_distinct(value)
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
    tasks: tuple[TaskFile, ...] = ()
    """Files of tasks of your own, in YAML or Python: `[my_tasks.yaml]`. A path is relative to the YAML file that names
    it. Their tasks are named like those of the library in the rest of the file."""
    benchmark: str | BenchmarkDecl = "xtreme"
    """Benchmark whose languages and averages are used: `xtreme`, `xtreme-r`, or a YAML file with one of your own."""
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
    question: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    """The question that the experiment asks, in a sentence. The report opens with it."""
    claims: dict[Name, ClaimDecl] = Field(default_factory=dict)
    """Statements that the experiment puts to the test, by name. Their verdicts come from intervals that are adjusted
    for the number of claims (`stilts claims`). They change no key."""
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
    def _tasks_bring_their_files(self) -> "Experiment":
        """Add the files that tasks of one's own declare to `data.tasks`, where the experiment gives no others."""
        tasks = dict(self.data.tasks)
        for name, source in sources_of(self.tasks).items():
            own = tasks[name].model_dump(exclude_unset=True) if name in tasks else {}
            tasks[name] = TaskSource(**(own if "hub" in own else {**source.model_dump(exclude_none=True), **own}))
        if tasks != self.data.tasks:
            object.__setattr__(self, "data", self.data.model_copy(update={"tasks": tasks}))
        return self

    @model_validator(mode="after")
    def _averages_have_names_of_their_own(self) -> "Experiment":
        own = (self.benchmark.name, *self.benchmark.groups) if isinstance(self.benchmark, BenchmarkDecl) else ()
        taken = next((name for name in self.targets if name in own), None)
        if taken is not None:
            raise ValueError(f"targets.{taken}: the benchmark has an average of this name; give the target another")
        return self

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

    @field_validator("benchmark", mode="before")
    @classmethod
    def _read_benchmark(cls, value: Any) -> Any:
        return benchmark_given(value)

    @field_validator("tasks", mode="before", json_schema_input_type=list[str | TaskFile])
    @classmethod
    def _read_tasks(cls, value: Any) -> Any:
        return read_files(value)

    @field_validator("tasks", mode="after")
    @classmethod
    def _declared_right(cls, value: tuple[TaskFile, ...]) -> tuple[TaskFile, ...]:
        sources_of(value)
        return value

    @field_validator("store", mode="after")
    @classmethod
    def _is_a_store(cls, value: str) -> str:
        return check_store(value)

    @field_validator("results", mode="after")
    @classmethod
    def _is_a_folder(cls, value: str | None) -> str | None:
        return value if value is None else check_folder(value, "./results")

    @field_validator("seeds", "splits", "languages", mode="after")
    @classmethod
    def _distinct(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            check_distinct(value)
        return value

    @field_validator(
        "intermediates", mode="before", json_schema_input_type=list[str] | dict[Name, Stages | RegimeDecl | None]
    )
    @classmethod
    def _regimes(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            check_plain_names(value, "a regime")
            value = {str(name): [] if name == NONE else [name] for name in value}
        if not isinstance(value, dict):
            return value
        regimes = {name: regime_of(name, regime) for name, regime in value.items()}
        if regimes.get(NONE, {}).get("stages"):
            raise ValueError(f"the regime {NONE!r} is the baseline and has no stages")
        return regimes

    @field_validator("targets", mode="before", json_schema_input_type=list[str] | dict[Name, TargetDecl | None])
    @classmethod
    def _target_names(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            check_plain_names(value, "a target")
            return {str(name): {} for name in value}
        if not isinstance(value, dict):
            return value
        taken = next((name for name in value if name in AVERAGES), None)
        if taken is not None:
            raise ValueError(f"{taken!r} is the name of an average in the tables; give the target another")
        return {name: {} if decl is None else tuples(decl) for name, decl in value.items()}
