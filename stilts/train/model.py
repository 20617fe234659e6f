"""Model: an encoder with its tokenizer and one head, loaded from and saved to the Hugging Face layout.

Beside the encoder's files lie `head.json` (family, number of labels) and `head.safetensors`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer

from stilts.data.checkpoint_files import WEIGHTS, local_checkpoint_problems
from stilts.errors import Problems, StiltsError
from stilts.train.batch import Batch
from stilts.train.heads import loss_sum, make_head

PACKED = ("bert", "roberta", "xlm-roberta")
"""Model types whose attention takes a 4D mask and explicit position ids, checked against padded batches."""
OFFSET = ("roberta", "xlm-roberta")
"""Model types whose positions start after the padding index."""
TYPED = ("bert", "roberta", "xlm-roberta", "rembert", "deberta-v2", "xlnet")
"""Model types that read token type ids as such (XLM would look them up as words)."""
HEAD_CONFIG = "head.json"
HEAD_WEIGHTS = "head.safetensors"
LANGUAGE_HEADS = (
    {"dense": "lm_head.dense", "layer_norm": "lm_head.layer_norm", "bias": "lm_head.bias"},
    {
        "dense": "cls.predictions.transform.dense",
        "layer_norm": "cls.predictions.transform.LayerNorm",
        "bias": "cls.predictions.bias",
    },
)
"""Where RoBERTa's and BERT's pretraining checkpoints keep the masked language head."""


@dataclass(frozen=True)
class Pooling:
    """How a sentence's vector is made: a layer (0: embeddings) and `mean` over its tokens, or `cls`."""

    layer: int
    pooling: str


class Model(nn.Module):
    """An encoder, a head of one family, and the tokenizer.

    Attributes:
        packs: whether several sequences can share a row.
    """

    def __init__(self, encoder: Any, head: nn.Module | None, tokenizer: Any, family: str, num_labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.tokenizer = tokenizer
        self.family = family
        self.num_labels = num_labels
        self.config = encoder.config
        self.packs = self.config.model_type in PACKED
        self.last_token = self.config.model_type == "xlnet"
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # no head reads it: it would only take optimizer memory

    @classmethod
    def load(cls, weights: Path, family: str, num_labels: int = 0, seed: int = 0) -> "Model":
        """An encoder with a fresh head, a pure function of the arguments.

        A masked language head is continued where the folder has one: of an earlier stage, or the pretraining's.
        `retrieval` has no head.

        Raises:
            StiltsError: the folder is not a checkpoint.
        """
        encoder, tokenizer = _load_encoder(weights)
        head = make_head(family, num_labels, encoder.config, encoder.get_input_embeddings().weight.shape[1], seed)
        if family == "mlm" and head is not None:
            _continue_language_head(head, weights)
        return cls(encoder, head, tokenizer, family, num_labels)

    @classmethod
    def reload(cls, weights: Path) -> "Model":
        """An encoder with the head that was saved with it.

        Raises:
            StiltsError: the folder has no head: it is a base model's, not a stage's.
        """
        if not (weights / HEAD_CONFIG).is_file():
            raise StiltsError(f"{weights}: no {HEAD_CONFIG}; these weights come from no stage, train one first")
        saved = json.loads((weights / HEAD_CONFIG).read_text())
        model = cls.load(weights, saved["family"], saved["num_labels"])
        if model.head is not None:
            model.head.to(model.dtype).load_state_dict(load_file(weights / HEAD_WEIGHTS))
        return model

    @property
    def dtype(self) -> torch.dtype:
        return next(self.encoder.parameters()).dtype

    @property
    def depth(self) -> int:
        return self.config.num_hidden_layers

    @property
    def max_length(self) -> int | None:
        """Most tokens of one sequence; None where positions are relative."""
        limit = getattr(self.config, "max_position_embeddings", None)
        if limit is None or self.config.model_type in ("xlnet",):
            return None
        return limit - self.config.pad_token_id - 1 if self.config.model_type in OFFSET else limit

    def forward(self, batch: Batch, want: str | Pooling = "loss") -> torch.Tensor:
        """One pass over a batch.

        Args:
            want: `loss`: summed over the batch's units, a scalar in fp32; `outputs`: the head's [units, outputs];
                a Pooling: sentence vectors [sequences, hidden].
        """
        if isinstance(want, Pooling):
            return self._pool(batch, want)
        states = self._encode(batch).last_hidden_state
        states = states.reshape(-1, states.shape[-1])[batch.units]
        assert self.head is not None
        if self.family == "mlm":
            logits = self.head(states, self.encoder.get_input_embeddings().weight)
        else:
            logits = self.head(states)
        return loss_sum(self.family, logits, batch.targets) if want == "loss" else logits

    def _encode(self, batch: Batch, **options: Any) -> Any:
        inputs = {"input_ids": batch.input_ids, **options}
        if batch.types is not None and self.config.model_type in TYPED and self.config.type_vocab_size > 1:
            inputs["token_type_ids"] = batch.types
        if batch.packed:
            # A boolean mask: sdpa reads it as "may attend". Padding attends to padding, so that no row is empty.
            inputs["attention_mask"] = batch.segments[:, None, :, None] == batch.segments[:, None, None, :]
            first = self.config.pad_token_id + 1 if self.config.model_type in OFFSET else 0
            inputs["position_ids"] = batch.positions + first
        else:
            inputs["attention_mask"] = (batch.segments > 0).long()
        return self.encoder(**inputs)

    def _pool(self, batch: Batch, pooling: Pooling) -> torch.Tensor:
        states = self._encode(batch, output_hidden_states=True).hidden_states[pooling.layer].float()
        if pooling.pooling == "cls":
            return states[:, 0]
        mask = (batch.segments > 0).unsqueeze(-1)
        return (states * mask).sum(1) / mask.sum(1)

    def save(self, out: Path) -> None:
        """Write encoder, tokenizer and head; `AutoModel.from_pretrained(out)` reads the encoder."""
        out.mkdir(parents=True, exist_ok=True)
        self.encoder.save_pretrained(out)
        self.tokenizer.save_pretrained(out)
        if self.head is not None:
            state = {name: value.detach().cpu().contiguous() for name, value in self.head.state_dict().items()}
            save_file(state, out / HEAD_WEIGHTS)
        (out / HEAD_CONFIG).write_text(json.dumps({"family": self.family, "num_labels": self.num_labels}) + "\n")


def _load_encoder(weights: Path) -> tuple[Any, Any]:
    problems = local_checkpoint_problems(weights)
    if problems:
        raise Problems(problems)
    encoder = AutoModel.from_pretrained(weights, use_safetensors=True, trust_remote_code=False, local_files_only=True)
    return encoder, AutoTokenizer.from_pretrained(weights, trust_remote_code=False, local_files_only=True)


def _continue_language_head(head: nn.Module, weights: Path) -> None:
    """Load a masked language head that an earlier stage or the pretraining left; keep the fresh one without."""
    config = weights / HEAD_CONFIG
    if config.is_file():
        if json.loads(config.read_text())["family"] == "mlm":
            head.load_state_dict(load_file(weights / HEAD_WEIGHTS))
        return
    if not (weights / WEIGHTS).is_file():
        return
    with safe_open(weights / WEIGHTS, framework="pt") as file:
        stored = set(file.keys())
        for names in LANGUAGE_HEADS:
            wanted = {ours: _renamed(ours, names) for ours in head.state_dict()}
            if stored.issuperset(wanted.values()):
                head.load_state_dict({ours: file.get_tensor(theirs) for ours, theirs in wanted.items()})


def _renamed(name: str, names: dict[str, str]) -> str:
    module, dot, parameter = name.partition(".")
    return names[module] + dot + parameter
