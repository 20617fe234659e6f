"""Model: an encoder with its tokenizer and one head, loaded from and saved to the Hugging Face layout.

Beside the encoder's files lie `head.json` (family, number of labels) and `head.safetensors`.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from stilts.data.architectures import architecture, max_tokens
from stilts.data.checkpoint_files import local_checkpoint_problems, tensor_files
from stilts.errors import Problems, StiltsError
from stilts.train.batch import Batch
from stilts.train.heads import decodable, loss_sum, make_head
from stilts.train.languages import LanguageIds
from stilts.train.tokenizer import load_tokenizer

log = logging.getLogger(__name__)

HEAD_CONFIG = "head.json"
HEAD_WEIGHTS = "head.safetensors"


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
        self.architecture = architecture(self.config.model_type)
        self.packs = self.architecture.packs
        self.last_token = self.architecture.class_last
        self.language_ids = LanguageIds.of(self.config) if self.architecture.languages else None
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
            facts = architecture(encoder.config.model_type)
            _continue_language_head(head, weights, facts.pretrained_heads)
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
        return max_tokens(self.config.to_dict())

    def checkpoint_gradients(self) -> None:
        """Recompute layers in the backward pass instead of keeping their activations.

        Raises:
            StiltsError: transformers cannot do so for this architecture.
        """
        if not self.encoder.supports_gradient_checkpointing:
            raise StiltsError(
                f"gradient checkpointing: transformers has none for {self.config.model_type}; set "
                "runtime.gradient_checkpointing to false and lower runtime.tokens_per_micro_batch"
            )
        self.encoder.gradient_checkpointing_enable({"use_reentrant": False})

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
        elif self.family == "parsing":
            logits = self.head(states, batch.counts)
        else:
            logits = self.head(states)
        return loss_sum(self.family, logits, batch.targets) if want == "loss" else decodable(self.family, logits)

    def _encode(self, batch: Batch, **options: Any) -> Any:
        inputs = {"input_ids": batch.input_ids, **self.architecture.options, **options}
        if batch.types is not None and self._reads_types:
            inputs["token_type_ids"] = batch.types
        if self.language_ids is not None:
            ids = torch.tensor(self.language_ids(batch.languages, len(batch.input_ids)), device=batch.input_ids.device)
            inputs["langs"] = ids[:, None].expand_as(batch.input_ids)
        if batch.packed:
            # A boolean mask: sdpa reads it as "may attend". Padding attends to padding, so that no row is empty.
            inputs["attention_mask"] = batch.segments[:, None, :, None] == batch.segments[:, None, None, :]
            first = self.config.pad_token_id + 1 if self.architecture.after_padding else 0
            inputs["position_ids"] = batch.positions + first
        else:
            inputs["attention_mask"] = (batch.segments > 0).long()
        return self.encoder(**inputs)

    @property
    def _reads_types(self) -> bool:
        return self.architecture.types or getattr(self.config, "type_vocab_size", 0) > 1

    def _pool(self, batch: Batch, pooling: Pooling) -> torch.Tensor:
        states = self._encode(batch, output_hidden_states=True).hidden_states[pooling.layer].float()
        mask = (batch.segments > 0).unsqueeze(-1)
        if pooling.pooling == "cls":
            place = mask.sum(1) - 1 if self.last_token else torch.zeros_like(mask[:, 0], dtype=torch.long)
            return states.gather(1, place[..., None].expand(-1, 1, states.shape[-1]))[:, 0]
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
    encoder, found = AutoModel.from_pretrained(
        weights, use_safetensors=True, trust_remote_code=False, local_files_only=True, output_loading_info=True
    )
    # The pooler is the one part that checkpoints may lack: no head reads it.
    missing = sorted(name for name in found["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise StiltsError(
            f"{weights}: {len(missing)} tensors of a {encoder.config.model_type} encoder are not among the weights "
            f"({', '.join(missing[:3])} ...); they would be random: is this a checkpoint of another architecture?"
        )
    return encoder, load_tokenizer(weights)


def _continue_language_head(head: nn.Module, weights: Path, names: tuple[Mapping[str, str], ...]) -> None:
    """Load a masked language head that an earlier stage or the pretraining left; keep the fresh one without."""
    config = weights / HEAD_CONFIG
    if config.is_file():
        if json.loads(config.read_text())["family"] == "mlm":
            head.load_state_dict(load_file(weights / HEAD_WEIGHTS))
        return
    stored = {_modern(name): (name, file) for name, file in tensor_files(weights).items()}
    for naming in names:
        wanted = {ours: _renamed(ours, naming) for ours in head.state_dict()}
        if set(wanted.values()) <= set(stored):
            head.load_state_dict({ours: _tensor(*stored[theirs]) for ours, theirs in wanted.items()})
            return
    log.info("%s: no masked language head; it starts afresh", weights)


def _tensor(name: str, file: Path) -> torch.Tensor:
    with safe_open(file, framework="pt") as stream:
        return stream.get_tensor(name)


def _modern(name: str) -> str:
    """BERT's first checkpoints call a norm's weight gamma and its bias beta."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _renamed(name: str, names: Mapping[str, str]) -> str:
    module, dot, parameter = name.partition(".")
    return names[module] + dot + parameter
