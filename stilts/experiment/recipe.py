"""Recipe: how a stage trains, as far as it determines the weights. Every field here bears identity."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """Base of everything declared in YAML: immutable, strict about types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0, strict=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, strict=False)]


class Recipe(Frozen):
    """Optimisation of one stage. Defaults per task follow XTREME's baseline scripts (see `tasks/library`).

    Lengths are in subword tokens including special tokens. `batch_size` counts examples per optimizer step over
    all ranks (a multiple-choice question is one example, a question-answering window is one example).
    """

    learning_rate: Annotated[float, Field(gt=0, strict=False)] = 2e-5
    epochs: Annotated[float, Field(gt=0, strict=False)] | None = 3
    max_steps: Positive | None = None
    """Optimizer steps; where given, it replaces `epochs`."""
    max_tokens: Positive | None = None
    """Training tokens without padding, rounded to whole steps; where given, it replaces `epochs` and `max_steps`."""
    batch_size: Positive = 32
    max_length: Annotated[int, Field(ge=8)] = 128
    stride: Positive | None = None
    """Question answering: context tokens by which a window starts after the one before (run_squad's doc_stride)."""
    max_query_length: Positive | None = None
    """Question answering: question tokens beyond this are cut."""
    mlm_probability: Annotated[float, Field(gt=0, lt=1)] | None = None
    language_exponent: Annotated[float, Field(ge=0, le=1, strict=False)] | None = None
    """Masked language modelling: languages are drawn with p proportional to size ** exponent."""
    schedule: Literal["linear", "constant"] = "linear"
    warmup: NonNegative = 0.0
    """Below 1: a fraction of the steps; from 1 on: a number of steps."""
    weight_decay: NonNegative = 0.0
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-8
    max_grad_norm: NonNegative = 1.0
    precision: Literal["bf16", "fp32"] = "bf16"
    selection: Literal["best-dev", "last"] = "best-dev"
    """Which weights leave the stage: the best on the English dev set, or the last."""
    evaluate_every: Positive | None = None
    """Optimizer steps between dev evaluations; None: once per epoch."""
    max_examples: Positive | None = None
    """Train on the first N examples only: of each language, and of each task of a union."""
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _has_a_length(self) -> "Recipe":
        if self.epochs is None and self.max_steps is None and self.max_tokens is None:
            raise ValueError("give epochs, max_steps or max_tokens")
        if self.stride is not None and self.stride >= self.max_length:
            raise ValueError(f"stride {self.stride} must be smaller than max_length {self.max_length}")
        return self
