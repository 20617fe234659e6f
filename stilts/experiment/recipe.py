"""Recipe: the settings of training that determine the weights. Every field is part of a stage's key."""

import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """Base of everything that an experiment declares: immutable, strict about types, unknown keys are refused.

    The docstring below a field is its description: `stilts fields`, the JSON schema and the reference page print it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        """Accept lists and paths in Python, as YAML has them: strict validation takes neither for a tuple or text."""
        if not isinstance(data, dict):
            return data
        return {name: tuple(v) if isinstance(v, list) else _text(v) for name, v in data.items()}


def _text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


MOST = 10**12
"""Largest count and largest measure that an experiment can declare: more than any training has steps or tokens."""
LARGEST_SEED = 2**32 - 1
"""Largest seed that every random number generator in use takes (NumPy, PyTorch, Optuna) and every table holds."""
LEAST_EPOCHS = 1e-4

Positive = Annotated[int, Field(gt=0, le=MOST)]
NonNegative = Annotated[float, Field(ge=0, le=MOST, strict=False)]
PositiveNumber = Annotated[float, Field(gt=0, le=MOST, strict=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, strict=False)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Length = Annotated[int, Field(gt=0, le=2**20)]
"""A number of subword tokens."""


def _at_most_one(rate: float) -> float:
    if rate > 1:
        raise ValueError(f"should be 1 or less, not a number ({rate:g})")
    return rate


def _some_steps(epochs: float) -> float:
    if epochs < LEAST_EPOCHS:
        raise ValueError(f"{epochs:g} epochs are no training; give {LEAST_EPOCHS:g} or more, or max_steps")
    return epochs


def _fraction_or_steps(warmup: float) -> float:
    if warmup > 1 and warmup != int(warmup):
        raise ValueError(f"{warmup:g} is no number of steps: give a whole number, or a fraction below 1")
    return warmup


LearningRate = Annotated[float, Field(gt=0, strict=False), AfterValidator(_at_most_one)]
Epochs = Annotated[float, Field(gt=0, le=1e5, strict=False), AfterValidator(_some_steps)]
Warmup = Annotated[float, Field(ge=0, le=MOST, strict=False), AfterValidator(_fraction_or_steps)]


SHORT_WARMUP = 0.1
"""Share of the steps that a warm-up takes which would otherwise be as long as the stage: that of jiant's recipes."""

SEED_PARTS = ("order", "head", "dropout", "data")
"""What a seed fixes: the order of the examples (and of a mixture's tasks), the initial weights of fresh heads, dropout,
and the data (which examples `max_examples` draws, which tokens masked language modelling hides)."""


class SeedParts(Frozen):
    """Seeds of single sources of randomness; None: the recipe's `seed`."""

    order: Seed | None = None
    """Order of the examples, and of the tasks of a mixture."""
    head: Seed | None = None
    """Initial weights of fresh heads."""
    dropout: Seed | None = None
    """Dropout masks."""
    data: Seed | None = None
    """Examples that `max_examples` draws, and tokens that masked language modelling hides."""


class Recipe(Frozen):
    """How one stage is optimised. The defaults of each task follow XTREME's baseline scripts (see `tasks/library`)."""

    learning_rate: LearningRate = 2e-5
    """Peak learning rate of AdamW."""
    epochs: Epochs | None = 3
    """Passes over the training data; a fraction is allowed."""
    max_steps: Positive | None = None
    """Number of optimizer steps. It replaces `epochs`."""
    max_tokens: Positive | None = None
    """Number of training tokens without padding, rounded to whole steps. It replaces `epochs` and `max_steps`."""
    batch_size: Annotated[int, Field(gt=0, le=2**20)] = 32
    """Examples of one optimizer step, over all ranks. A multiple-choice question is one example, and so is one window
    of a question-answering context."""
    max_length: Annotated[int, Field(ge=8, le=2**20)] = 128
    """Longest input in subword tokens, special tokens included. Longer texts are cut, or split into windows in question
    answering."""
    stride: Length | None = None
    """Question answering: the distance in tokens between the starts of two windows of a context (`doc_stride` of
    run_squad)."""
    max_query_length: Length | None = None
    """Question answering: questions are cut to this number of tokens."""
    mlm_probability: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Masked language modelling: the share of tokens that are masked."""
    language_exponent: Annotated[float, Field(ge=0, le=1, strict=False)] | None = None
    """Masked language modelling: a language is sampled with probability proportional to its size to this power."""
    schedule: Literal["linear", "constant"] = "linear"
    """Learning rate after the warm-up: linear decay to zero, or constant."""
    warmup: Warmup = 0.0
    """Length of the linear warm-up. A value below 1 is a fraction of the steps; from 1 on, it is a number of steps."""
    long_warmup: Literal["shorten", "keep"] = "shorten"
    """What happens to a warm-up in steps that is as long as the whole stage or longer, so that the learning rate would
    never be reached. shorten: it takes the first tenth of the steps. keep: it stays, and the stage ends at a part of
    its learning rate, as in XTREME's script for TyDiQA."""
    weight_decay: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.0
    """Weight decay of AdamW, on all weights but biases and layer norms."""
    adam_epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-8
    """Epsilon of AdamW."""
    max_grad_norm: NonNegative = 1.0
    """Gradients are clipped to this norm. 0: no clipping."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """Arithmetic of training and evaluation. bf16 keeps fp32 master weights; a CPU without bf16 units is faster in
    fp32."""
    selection: Literal["best-dev", "last"] = "best-dev"
    """Which weights leave the stage: those with the best score on the English dev set, or the last."""
    evaluate_every: Positive | None = None
    """Optimizer steps between two evaluations on dev. Empty: once per epoch."""
    max_examples: Positive | None = None
    """Train on N examples only, of each language and of each task of a union."""
    subset: Literal["random", "first"] = "random"
    """Which examples `max_examples` takes. random: drawn by the seed; the draws of one seed are nested, so that a
    larger N adds examples to those of a smaller one. first: the first in the file, the same for every seed."""
    seed: Seed = 0
    """Seed of all that is random. It comes from `seeds` of the experiment, or `seed` of a stage."""
    seed_parts: SeedParts = SeedParts()
    """Seeds of single sources of randomness, from `seed_parts` of the experiment."""

    @model_validator(mode="after")
    def _has_a_length(self) -> "Recipe":
        if self.epochs is None and self.max_steps is None and self.max_tokens is None:
            raise ValueError("give epochs, max_steps or max_tokens")
        if self.stride is not None and self.stride >= self.max_length:
            raise ValueError(f"stride {self.stride} must be smaller than max_length {self.max_length}")
        return self

    def seed_of(self, part: str) -> int:
        """The seed of one of SEED_PARTS."""
        own: int | None = getattr(self.seed_parts, part)
        return self.seed if own is None else own

    def warmup_steps(self, steps: int) -> float:
        """Steps of the warm-up of a stage of so many steps, as `warmup` and `long_warmup` say."""
        if self.warmup < 1:
            return self.warmup * steps
        if self.warmup >= steps and self.long_warmup == "shorten":
            return SHORT_WARMUP * steps
        return self.warmup
