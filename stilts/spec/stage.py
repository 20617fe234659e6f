"""Stages and evaluations by identity: the types whose digests are keys."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from stilts.spec.canonical import KEY_VERSION, digest
from stilts.spec.recipe import Recipe

SHORT = 12


@dataclass(frozen=True)
class DataRef:
    """The examples of one task in one split and language.

    Attributes:
        identity: `sha256:HEX` over the canonical examples, or `hub:ID/CONFIG@REVISION#SPLIT` for hub data, whose
            content the pinned revision fixes before anything is downloaded.
        rows: examples, counted or declared; None where unknown. Not part of identity.
        tokens: estimated subword tokens over all rows, before truncation. Not part of identity.
        labelled: whether gold is there (False: predictions are written and no score is made up).
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
    """

    identity: dict[str, Any] = field(hash=False)
    source: str | None = field(default=None, compare=False)
    text: tuple[DataRef, ...] = field(default=(), compare=False)

    def payload(self) -> dict[str, Any]:
        return {"key_version": KEY_VERSION, "base": self.identity}

    @cached_property
    def key(self) -> str:
        return digest(self.payload())


@dataclass(frozen=True)
class StageSpec:
    """One training stage: a parent, training data and a recipe.

    A stage is identified by what determines its weights: the parent's key, the task's name, version and data, and
    the recipe (seed, global batch size, precision ...). Two chains that agree on these share one artifact.

    Where and how it runs is `Runtime`: recorded beside the artifact, never part of the key.

    Attributes:
        parent: key of the parent stage or base.
        task: name of the task whose training data and head it uses (`squad` for xquad and mlqa).
        train: training examples, one entry per language (several for masked language modelling).
        dev: examples of the model selection; None where the last weights are taken.
    """

    parent: str
    task: str
    task_version: int
    train: tuple[DataRef, ...]
    dev: DataRef | None
    recipe: Recipe = field(hash=False)

    def payload(self) -> dict[str, Any]:
        """What is hashed, in plain JSON types."""
        return {
            "key_version": KEY_VERSION,
            "parent": self.parent,
            "task": {"name": self.task, "version": self.task_version},
            "train": [[ref.language, ref.identity] for ref in self.train],
            "dev": None if self.dev is None else [self.dev.language, self.dev.identity],
            "recipe": self.recipe.model_dump(),
        }

    @cached_property
    def key(self) -> str:
        return digest(self.payload())


@dataclass(frozen=True)
class EvaluationSpec:
    """One model on one task, split and language. Its key does not name the model: it is stored beside the stage.

    Attributes:
        data: what is predicted; `tune` is the dev data on which BUCC's threshold is chosen, else None.
        settings: what determines predictions beyond the weights (max_length, stride, layer, pooling ...).
    """

    task: str
    task_version: int
    split: str
    language: str
    data: DataRef
    tune: DataRef | None = None
    settings: dict[str, Any] = field(default_factory=dict, hash=False)

    def payload(self) -> dict[str, Any]:
        return {
            "key_version": KEY_VERSION,
            "task": {"name": self.task, "version": self.task_version},
            "split": self.split,
            "language": self.language,
            "data": self.data.identity,
            "tune": None if self.tune is None else self.tune.identity,
            "settings": self.settings,
        }

    @cached_property
    def key(self) -> str:
        return digest(self.payload())

    @property
    def path(self) -> str:
        """Stem of its two files inside the stage's directory (`.json` record, `.tsv`/`.jsonl` predictions)."""
        return f"evaluations/{self.task}/{self.split}-{self.language}-{self.key[:SHORT]}"
