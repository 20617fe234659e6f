"""Base models, stages and evaluations: the types whose canonical JSON is hashed to a key."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from stilts.experiment.recipe import SEED_PARTS, Recipe
from stilts.identity.canonical import EVALUATION_VERSION, KEY_VERSION, TRAINING_VERSION, digest

SHORT = 12
"""Number of hex digits of a key or digest that names of files and folders contain."""


@dataclass(frozen=True)
class DataRef:
    """The examples of one task in one split and language.

    Attributes:
        identity: `sha256:HEX` over the canonical examples, or `hub:ID/CONFIG@REVISION#SPLIT` for hub data, whose
            content the pinned revision fixes before anything is downloaded.
        rows: number of examples, counted or declared; None if unknown. Not part of identity.
        tokens: estimated subword tokens over all rows, before truncation. Not part of identity.
        labelled: whether the gold labels exist; without them, predictions are written and nothing is scored.
    """

    task: str
    split: str
    language: str
    identity: str
    rows: int | None = field(default=None, compare=False)
    tokens: int | None = field(default=None, compare=False)
    labelled: bool = field(default=True, compare=False)

    @property
    def path(self) -> str:
        """Canonical Arrow file, relative to the store: `data/TASK/SPLIT-LANGUAGE-DIGEST.arrow`."""
        return f"data/{self.task}/{self.split}-{self.language}-{digest(self.identity)[:SHORT]}.arrow"


@dataclass(frozen=True)
class BaseSpec:
    """A pretrained (or randomly initialised) encoder with its tokenizer, before any stage.

    Attributes:
        identity: `{"hub": id, "revision": commit}`, `{"files": sha256}` of a local checkpoint's files, or
            `{"init": {"config": {...}, "tokenizer": {...}, "text": [identity, ...], "seed": n}}`.
        source: folder of a local checkpoint. Not part of identity.
        text: what the tokenizer of a random initialisation is trained on; its identities are in `identity`.
        shape: fields of a hub model's config.json, as declared for planning. Not part of identity.
    """

    identity: dict[str, Any] = field(hash=False)
    source: str | None = field(default=None, compare=False)
    text: tuple[DataRef, ...] = field(default=(), compare=False)
    shape: dict[str, Any] | None = field(default=None, compare=False)

    def payload(self) -> dict[str, Any]:
        return {"key_version": KEY_VERSION, "base": self.identity}

    @cached_property
    def key(self) -> str:
        return digest(self.payload())


EXAMPLE_FIELDS = (
    "max_length",
    "stride",
    "max_query_length",
    "mlm_probability",
    "language_exponent",
    "max_examples",
    "subset",
)
"""Fields of a recipe that determine the examples of a task. They belong to a part of a stage; all other fields belong
to the stage."""


def _named(task: str, version: int, definition: dict[str, Any] | None) -> dict[str, Any]:
    """What a payload says of a task."""
    own = {} if definition is None else {"definition": definition}
    return {"name": task, "version": version, **own}


@dataclass(frozen=True)
class Part:
    """One task of a stage.

    Attributes:
        task: name of the task whose examples and head it uses (`squad` for xquad and mlqa).
        train: training examples: one entry per language, and per task where the task is a union of others.
        dev: dev set for model selection; None if the last weights are taken.
        recipe: the recipe of the task; only its EXAMPLE_FIELDS and its data seed are used.
        definition: what a task of a user's own is (`Task.definition`); None for a task of the library, whose version
            stands for it.
    """

    task: str
    task_version: int
    train: tuple[DataRef, ...]
    dev: DataRef | None
    recipe: Recipe = field(hash=False)
    definition: dict[str, Any] | None = field(default=None, hash=False)

    @property
    def rows(self) -> int:
        """Number of training examples that are used, without those whose number is not known."""
        limit = self.recipe.max_examples
        return sum(min(ref.rows or 0, limit or ref.rows or 0) for ref in self.train)

    @property
    def _draws(self) -> bool:
        """Whether its examples depend on the seed: a random subset of them, or random masks."""
        drawn = self.recipe.max_examples is not None and self.recipe.subset == "random"
        return drawn or self.recipe.mlm_probability is not None or self.task == "mlm"

    def payload(self) -> dict[str, Any]:
        return {
            "task": _named(self.task, self.task_version, self.definition),
            "train": [[ref.task, ref.language, ref.identity] for ref in self.train],
            "dev": None if self.dev is None else [self.dev.language, self.dev.identity],
            "examples": {name: getattr(self.recipe, name) for name in EXAMPLE_FIELDS},
            "data_seed": self.recipe.seed_of("data") if self._draws else None,
        }


@dataclass(frozen=True)
class Mixing:
    """How often each task of a stage is drawn.

    Attributes:
        sampling: `proportional` to min(examples, cap) (T5, arXiv:1910.10683, section 3.5.2); `temperature`: to that to
            the power 1 / temperature; `uniform`.
        probabilities: by task, taken as they are; the other tasks share the rest by the rule.
    """

    sampling: str = "proportional"
    cap: int = 2**17
    temperature: float = 2.0
    probabilities: dict[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class StageSpec:
    """One training stage: a parent, one or several tasks, and a recipe.

    Its key is computed from what determines its weights: the key of the parent, the name, version and data of each
    task, and the recipe (seeds, global batch size, precision ...). Chains whose stages have the same key share one
    artifact.

    `Runtime` says where and how a stage runs. It is recorded beside the artifact and is not part of the key.

    Attributes:
        parent: key of the parent stage or base.
        parts: its tasks, by name.
        mixing: how the tasks share the steps; None if there is one task.
        recipe: the recipe of the optimisation; its EXAMPLE_FIELDS are ignored in favour of those of the parts.
    """

    parent: str
    parts: tuple[Part, ...]
    mixing: Mixing | None
    recipe: Recipe = field(hash=False)

    def payload(self) -> dict[str, Any]:
        """The hashed payload, in plain JSON types."""
        elsewhere = (*EXAMPLE_FIELDS, "seed", "seed_parts")
        recipe = {name: value for name, value in self.recipe.model_dump().items() if name not in elsewhere}
        recipe["seeds"] = {part: self.recipe.seed_of(part) for part in SEED_PARTS if part != "data"}
        return {
            "key_version": KEY_VERSION,
            "training_version": TRAINING_VERSION,
            "parent": self.parent,
            "parts": [part.payload() for part in self.parts],
            "mixing": None if self.mixing is None else vars(self.mixing),
            "recipe": recipe,
        }

    @property
    def selects(self) -> bool:
        """Whether a dev set selects the weights."""
        return any(part.dev is not None for part in self.parts)

    @property
    def data(self) -> list[DataRef]:
        """All data of the stage: training sets and dev sets."""
        return [ref for part in self.parts for ref in (*part.train, part.dev) if ref is not None]

    @cached_property
    def key(self) -> str:
        return digest(self.payload())


NOISE_VERSION = 1
"""Version of the noise. It is raised when `data/noise` gives other results for the same examples."""


@dataclass(frozen=True)
class Condition:
    """Noise on the examples of an evaluation (see `data/noise`).

    Attributes:
        kind: swap, drop, insert, keyboard, casing, punctuation or ocr.
        rate: share of what the kind changes, 0 to 1.
        scope: question answering: `all` text with the answers remapped, or the `question` alone.
    """

    kind: str
    rate: float
    seed: int = 0
    scope: str = "all"

    @property
    def name(self) -> str:
        """Name in tables and paths: `swap@0.1`, `swap@0.1-question`, or `swap@0.1-s3` if the seed is 3 instead of 0."""
        scope = "" if self.scope == "all" else f"-{self.scope}"
        return f"{self.kind}@{self.rate:g}{scope}{f'-s{self.seed}' if self.seed else ''}"


@dataclass(frozen=True)
class EvaluationSpec:
    """The evaluation of one model on one task, split and language. The key does not depend on the model: evaluations
    are stored in the folder of their stage.

    Attributes:
        data: the examples that are predicted.
        tune: clean dev data on which the threshold of BUCC or SQuAD 2.0 is chosen; None if there is no threshold, or
            if it is chosen on `data` itself.
        pool: candidates of a ranking; None if the candidates are the texts of `data` itself.
        settings: everything but the weights that determines predictions (max_length, stride, layer, pooling ...); for
            base models also `precision`.
        condition: noise on `data` (never on `tune` or `pool`); None: clean.
        definition: as in `Part`.
    """

    task: str
    task_version: int
    split: str
    language: str
    data: DataRef
    tune: DataRef | None = None
    settings: dict[str, Any] = field(default_factory=dict, hash=False)
    condition: Condition | None = None
    pool: DataRef | None = None
    definition: dict[str, Any] | None = field(default=None, hash=False)

    @property
    def refs(self) -> list[DataRef]:
        """All its examples."""
        return [ref for ref in (self.data, self.tune, self.pool) if ref is not None]

    def payload(self) -> dict[str, Any]:
        return {
            "key_version": KEY_VERSION,
            "evaluation_version": EVALUATION_VERSION,
            "task": _named(self.task, self.task_version, self.definition),
            "split": self.split,
            "language": self.language,
            "data": self.data.identity,
            "tune": None if self.tune is None else self.tune.identity,
            "settings": self.settings,
            "condition": None if self.condition is None else {"version": NOISE_VERSION, **vars(self.condition)},
            **({} if self.pool is None else {"pool": self.pool.identity}),
        }

    @cached_property
    def key(self) -> str:
        return digest(self.payload())

    @cached_property
    def path(self) -> str:
        """Stem of its two files inside the stage's directory (`.json` record, `.tsv`/`.jsonl` predictions)."""
        condition = "" if self.condition is None else f"-{self.condition.name}"
        return f"evaluations/{self.task}/{self.split}-{self.language}{condition}-{self.key[:SHORT]}"


@dataclass(frozen=True)
class Watched:
    """A further evaluation at every dev evaluation of a training. It selects no weights and is not part of any key.

    Attributes:
        examples: number of examples to score, from the first; None: all.
    """

    evaluation: EvaluationSpec
    examples: int | None = None
