"""Heads: what turns an encoder's states into a family's outputs, and each family's loss.

A head reads gathered states [u, hidden], so that it works alike on packed and padded rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from stilts.encoders.architectures import architecture
from stilts.identity.canonical import digest
from stilts.tasks.base import Task, check_heads
from stilts.train.biaffine import BiaffineHead, best_relations, parsing_loss
from stilts.train.features import IGNORED

SCALE = 100.0
"""What cosines are multiplied by before the softmax. XTREME-R's script trains it from this value on, at a learning rate
that moves it by less than one in a whole run."""
DROPOUTS = (
    "classifier_dropout",  # BERT, RoBERTa, XLM-R
    "classifier_dropout_prob",  # RemBERT
    "cls_dropout",  # DeBERTa
    "summary_last_dropout",  # XLNet
    "summary_first_dropout",  # XLM
    "hidden_dropout_prob",
    "dropout",
)
"""What configurations call the dropout before a classifier, and then that within the encoder."""


@dataclass(frozen=True)
class HeadSpec:
    """What a head is; with the encoder's configuration and a seed it fixes a fresh one.

    Attributes:
        name: the tasks' `head_name`; tasks of one name share the head.
        labels: classes in the order of its outputs, where the family has classes.
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


def heads_of(tasks: Sequence[Task]) -> list[HeadSpec]:
    """The heads that tasks train together, one for all tasks of one `head_name`.

    Raises:
        StiltsError: tasks would share a head, but not its family or labels.
    """
    check_heads(tasks)
    return list(dict.fromkeys(HeadSpec.of(task) for task in tasks))


class OutputLayer(nn.Linear):
    """A linear layer computed in fp32 whatever its precision: bf16 scores would tie."""

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


class ProjectionHead(nn.Module):
    """The input embeddings as output weights (tied), and a bias: XLM's masked language modelling head.

    A checkpoint whose output layer is not tied (EuroBERT) brings a `weight` of its own.
    """

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.weight: nn.Parameter | None
        self.register_parameter("weight", None)

    def forward(self, states: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """[u, hidden], [vocabulary, hidden] -> [u, vocabulary]"""
        return F.linear(states, embeddings if self.weight is None else self.weight, self.bias)


class RoleHead(nn.Module):
    """Each word's state beside its predicate's, dense, GELU, linear (Shi and Lin 2019, without the recurrent layer).

    The predicate's own state is marked with a learned indicator.
    """

    def __init__(self, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.indicator = nn.Parameter(torch.randn(hidden) * 0.02)
        self.dense = nn.Linear(2 * hidden, hidden)
        self.output = OutputLayer(hidden, outputs)

    def forward(self, states: torch.Tensor, units: torch.Tensor, counts: list[int]) -> torch.Tensor:
        """[u, hidden] -> [u, outputs]

        Args:
            units: where the states stand in the batch: equal numbers are one state.
            counts: states of each sequence, the predicate's last.
        """
        number = torch.tensor(counts, device=states.device)
        predicate = torch.repeat_interleave(number.cumsum(0) - 1, number)
        marked = states + (units == units[predicate])[:, None] * self.indicator
        pairs = self.dropout(torch.cat([marked, marked[predicate]], dim=-1))
        return self.output(self.dropout(F.gelu(self.dense(pairs))))


class LanguageHead(ProjectionHead):
    """Dense, GELU and layer norm before the projection: everyone else's."""

    def __init__(self, hidden: int, embedding: int, vocab_size: int, epsilon: float) -> None:
        super().__init__(vocab_size)
        self.dense = nn.Linear(hidden, embedding)
        self.layer_norm = nn.LayerNorm(embedding, eps=epsilon)

    def forward(self, states: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """[u, hidden], [vocabulary, embedding] -> [u, vocabulary]"""
        return super().forward(self.layer_norm(F.gelu(self.dense(states))), embeddings)


class VectorHead(nn.Module):
    """Dense and tanh on the class token, scaled to length 1 in fp32: XTREME-R's dual encoder, one for both sides."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, hidden)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[u, hidden] -> [u, hidden]"""
        return F.normalize(torch.tanh(self.dense(states).float()), dim=-1)


def make_head(spec: HeadSpec, config: Any, embedding: int, seed: int) -> nn.Module | None:
    """A fresh head, a pure function of its arguments; None where the family has none (retrieval).

    Args:
        embedding: width of the input embeddings, which masked language heads are tied to.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(digest([seed, spec.name])[:15], 16))
        head = _new_head(spec, config, embedding)
        spread = _first(config, ("initializer_range", "init_std"), 0.02)
        for module in () if head is None else head.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=spread)
                nn.init.zeros_(module.bias)
    return head


def _new_head(spec: HeadSpec, config: Any, embedding: int) -> nn.Module | None:
    hidden, dropout, labels = config.hidden_size, head_dropout(config), len(spec.labels)
    match spec.family:
        case "retrieval":
            return None
        case "mlm":
            return _language_head(config, embedding)
        case "dual_encoder":
            return VectorHead(hidden)
        case "classification":
            return SentenceHead(hidden, labels, dropout)
        case "multiple_choice":
            return SentenceHead(hidden, 1, dropout)
        case "parsing":
            return BiaffineHead(hidden, labels, dropout)
        case "srl":
            return RoleHead(hidden, labels, dropout)
        case "tagging":
            return TokenHead(hidden, labels, dropout)
        case "span_qa":
            return TokenHead(hidden, 2, dropout)
    raise ValueError(f"no head is known for the family {spec.family!r}")


def _language_head(config: Any, embedding: int) -> nn.Module:
    if not architecture(config.model_type).transform:
        return ProjectionHead(config.vocab_size)
    epsilon = getattr(config, architecture(config.model_type).epsilon, 1e-5)
    return LanguageHead(config.hidden_size, embedding, config.vocab_size, epsilon)


def head_dropout(config: Any) -> float:
    """The architecture's own dropout before a classifier, else its hidden dropout."""
    return _first(config, DROPOUTS, 0.1)


def _first(config: Any, names: tuple[str, ...], otherwise: float) -> float:
    """The first of a configuration's fields that is given."""
    values = (getattr(config, name, None) for name in names)
    return next((float(value) for value in values if value is not None), otherwise)


def loss_sum(family: str, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
    """Sum of the losses over a batch's units, in fp32: divided by the step's count it is the mean of one big batch.

    Span losses are the mean over both ends; a window's softmax runs over its own tokens, never over padding.
    """
    logits = logits.float()
    if family == "dual_encoder":
        return _contrast(logits, **targets)
    if family == "parsing":
        return parsing_loss(logits, targets)
    if family == "span_qa":
        starts, ends = _windows(logits, targets["lengths"])
        start = F.cross_entropy(starts, targets["start"], reduction="sum")
        return (start + F.cross_entropy(ends, targets["end"], reduction="sum")) / 2
    if family == "multiple_choice":
        logits = _choices(logits[:, 0], targets["group"], targets["choice"])
    return F.cross_entropy(logits, targets["labels"], reduction="sum", ignore_index=IGNORED)


def _contrast(vectors: torch.Tensor, pair: torch.Tensor, side: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
    """Cross entropy of each query (side 0) over the texts (side 1) of its block, of which its own is right."""
    order = torch.argsort(pair, stable=True)
    queries, texts = (order[side[order] == number] for number in (0, 1))
    scores = SCALE * vectors[queries] @ vectors[texts].T
    elsewhere = block[queries][:, None] != block[texts][None, :]
    right = torch.arange(len(queries), device=vectors.device)
    return F.cross_entropy(scores.masked_fill(elsewhere, float("-inf")), right, reduction="sum")


def decodable(family: str, logits: torch.Tensor) -> torch.Tensor:
    """What the family's decoding reads of the logits (`tasks/families`): they themselves, but for parsing."""
    return best_relations(logits) if family == "parsing" else logits


def _windows(logits: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[tokens, 2] -> two of [windows, longest], with minus infinity after a window's end."""
    padded = nn.utils.rnn.pad_sequence(
        list(logits.split(lengths.tolist())), batch_first=True, padding_value=float("-inf")
    )
    return padded[..., 0], padded[..., 1]


def _choices(logits: torch.Tensor, group: torch.Tensor, choice: torch.Tensor) -> torch.Tensor:
    """[rows] -> [items, most choices], with minus infinity where an item has fewer."""
    size = (int(group.max()) + 1, int(choice.max()) + 1)
    return logits.new_full(size, float("-inf")).index_put((group, choice), logits)
