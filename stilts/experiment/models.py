"""Base models: where their weights come from, and what is trained before every regime."""

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from stilts.experiment.data import Revision
from stilts.experiment.recipe import Frozen, Seed
from stilts.experiment.regimes import StageDecl, Stages, stages_of


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
    """A base model: give exactly one of `hub`, `path` and `init`."""

    hub: str | None = None
    """Id of a model on the hub, such as `FacebookAI/xlm-roberta-base`."""
    revision: Revision | None = None
    """Commit of the hub repository, which is part of every key. A name, such as a branch or refs/pr/N, is looked up on
    the first run, and its commit is kept in the store. Empty: the branch `main`."""
    shape: dict[str, Any] | None = None
    """Fields of a hub model's config.json (`model_type`, `hidden_size`, ...), for costs and checks before the model is
    downloaded. They are compared with the file before the first trial, and are part of no key."""
    path: str | None = None
    """Local folder of a checkpoint: config.json, model.safetensors and the tokenizer's files."""
    init: InitDecl | None = None
    """Start from random weights."""
    pretrain: tuple[StageDecl, ...] = ()
    """Stages that come before every regime (continued pretraining). Their seed is 0 unless one is given."""

    @model_validator(mode="before")
    @classmethod
    def _main_branch(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("hub") is not None and given.get("revision") is None:
            return {**given, "revision": "main"}
        return given

    @model_validator(mode="after")
    def _one_origin(self) -> "ModelDecl":
        if sum(origin is not None for origin in (self.hub, self.path, self.init)) != 1:
            raise ValueError("give exactly one of hub, path and init")
        if self.hub is None and self.revision is not None:
            raise ValueError("revision is that of a hub model; give hub, or leave it out")
        if self.shape is not None and self.hub is None:
            raise ValueError("shape describes a hub model; of a local folder, config.json is read")
        return self

    @field_validator("pretrain", mode="before", json_schema_input_type=Stages)
    @classmethod
    def _task_names(cls, value: Any) -> Any:
        return stages_of(value)
