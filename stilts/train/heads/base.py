"""The contract of a family's torch side: its head, and how features become what the head reads and is scored against.

The light side of a family is in `tasks/families`. A head reads gathered states [u, hidden], so that it works alike on
packed and padded rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import nn

from stilts.encoders.architectures import Architecture
from stilts.experiment.recipe import Recipe
from stilts.tasks.base import Task
from stilts.train.features import IGNORED, Features

DROPOUTS = (
    "classifier_dropout",  # BERT, RoBERTa, XLM-R
    "classifier_dropout_prob",  # RemBERT
    "cls_dropout",  # DeBERTa
    "summary_last_dropout",  # XLNet
    "summary_first_dropout",  # XLM
    "hidden_dropout_prob",
    "dropout",
)
"""Names that configurations have for the dropout before a classifier, then for the dropout within the encoder."""


@dataclass(frozen=True)
class HeadSpec:
    """The description of a head. With the encoder's configuration and a seed it determines a fresh head.

    Attributes:
        name: the tasks' `head_name`; tasks of one name share the head.
        labels: classes in the order of the head's outputs, if the family has classes.
    """

    name: str
    family: str
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: Task) -> "HeadSpec":
        return cls(task.head_name, task.family, tuple(task.labels))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "HeadSpec":
        return cls(data["name"], data["family"], tuple(data["labels"]))


@dataclass(frozen=True)
class HeadInput:
    """What a head may read in one pass.

    Attributes:
        states: [u, hidden], the encoder's states at the units of all sequences, one sequence after the other.
        units: int64 [u], their positions in the batch: equal numbers are one state.
        counts: number of units of each sequence.
        embeddings: returns the input embeddings [vocabulary, embedding]. A function, because under ZeRO 3 reading them
            gathers them.
    """

    states: torch.Tensor
    units: torch.Tensor
    counts: list[int]
    embeddings: Callable[[], torch.Tensor]


@dataclass(frozen=True)
class StepContext:
    """What `FamilyHead.step` may need beside the rows of an optimizer step.

    Attributes:
        seed: (seed of the recipe, number of the task's own step).
    """

    recipe: Recipe
    tokenizer: Any
    vocab_size: int
    seed: tuple[int, int]


class FamilyHead:
    """The torch side of a family; one stateless instance per family, registered with `registry.register`.

    By default a head reads the class token of each sequence, returns logits [u, classes], and is trained with the cross
    entropy of `targets()["labels"]`.

    Attributes:
        family: name of the family.
        reads_embeddings: whether the head reads the input embeddings (`HeadInput.embeddings`), so that each step gives
            every row of them a gradient.
    """

    family: str
    reads_embeddings = False

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module | None:
        """Return a new head, or None if the family has none. Linear layers are initialised by the caller.

        Args:
            config: the encoder's configuration.
            embedding: width of the input embeddings.
        """
        raise NotImplementedError

    def continue_from(self, module: nn.Module, weights: Path, architecture: Architecture) -> None:
        """Load weights that the stage's parent has for a new head, if it has any. By default a head starts afresh.

        Raises:
            StiltsError: there are weights that cannot be loaded.
        """

    def continue_from_heads(self, module: nn.Module, heads: Sequence[tuple[HeadSpec, nn.Module]]) -> None:
        """Do the same as `continue_from` where the parent is a trained model in memory.

        Args:
            heads: the heads of the parent.
        """

    def step(self, rows: Features, context: StepContext) -> Features:
        """Return the rows of one optimizer step over all ranks as they are trained on; a pure function."""
        return rows

    def units(
        self, part: Features, first: np.ndarray, tokens: np.ndarray, last_token: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of the states that the head reads, and their number for each sequence.

        Args:
            first: int64 [sequences], index of each sequence's first token in the batch laid end to end.
            tokens: int64 [tokens], index of every token.
            last_token: whether the class token is the last of a sequence (XLNet).
        """
        lengths = part.ids.lengths
        return first + (lengths - 1 if last_token else 0), np.ones_like(lengths)

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        """Return the arrays that `loss_sum` reads, by name; empty if the features have no gold."""
        raise NotImplementedError

    def logits(self, module: nn.Module, read: HeadInput) -> torch.Tensor:
        """Run the head: float [u, ...]."""
        return module(read.states)

    def loss(self, module: nn.Module, read: HeadInput, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        """Run the head and return the fp32 sum of the losses over a batch."""
        return self.loss_sum(self.logits(module, read).float(), targets)

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum of the losses over a batch. Divided by the step's count it is the mean of one large batch.

        Args:
            logits: fp32.
        """
        return F.cross_entropy(logits, targets["labels"], reduction="sum", ignore_index=IGNORED)

    def decodable(self, logits: torch.Tensor) -> torch.Tensor:
        """Return what `Family.decode` reads of the logits."""
        return logits

    def by_sequence(self, outputs: np.ndarray, counts: list[int]) -> list[np.ndarray]:
        """Split decodable outputs [u, ...] into one array per sequence. By default a sequence is one unit."""
        return list(outputs)


class TokenUnits(FamilyHead):
    """A head that reads several states of each sequence: those at the tokens of the feature column `positions`."""

    def units(
        self, part: Features, first: np.ndarray, tokens: np.ndarray, last_token: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        positions = part.lists("positions")
        return np.repeat(first, positions.lengths) + positions.values, positions.lengths

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        return {"labels": part.lists("labels").values.astype(np.int64)} if "labels" in part.columns else {}

    def by_sequence(self, outputs: np.ndarray, counts: list[int]) -> list[np.ndarray]:
        return np.split(outputs, np.cumsum(counts)[:-1])


class OutputLayer(nn.Linear):
    """A linear layer that computes in fp32 whatever its precision is, because bf16 scores often tie."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return F.linear(states.float(), self.weight.float(), self.bias.float())


class SentenceHead(nn.Module):
    """Dropout, dense, tanh, dropout, linear, on the class token: RoBERTa's classification head."""

    def __init__(self, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(hidden, hidden)
        self.output = OutputLayer(hidden, outputs)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[u, hidden] -> [u, outputs]"""
        return self.output(self.dropout(torch.tanh(self.dense(self.dropout(states)))))


class TokenHead(nn.Module):
    """Dropout and one linear layer: tags, or the two ends of a span."""

    def __init__(self, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = OutputLayer(hidden, outputs)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[u, hidden] -> [u, outputs]"""
        return self.output(self.dropout(states))


def arranged(scores: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Arrange scores in rows; a place that is the number of scores gets minus infinity.

    Args:
        scores: [n, ...].
        places: int64 [rows, longest], indices of scores.
    """
    return torch.cat([scores, scores.new_full((1, *scores.shape[1:]), float("-inf"))])[places]


def on_device(values: ArrayLike, device: torch.device) -> torch.Tensor:
    """Copy integers to the device as int64, without waiting for it."""
    tensor = torch.from_numpy(np.asarray(values, dtype=np.int64))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def head_dropout(config: Any) -> float:
    """Return the dropout that the architecture has before a classifier, or else its hidden dropout."""
    return first_of(config, DROPOUTS, 0.1)


def first_of(config: Any, names: tuple[str, ...], otherwise: float) -> float:
    """Return the first of these attributes of a configuration that is set."""
    values = (getattr(config, name, None) for name in names)
    return next((float(value) for value in values if value is not None), otherwise)
