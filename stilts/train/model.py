"""Model: an encoder with its tokenizer and its heads, loaded from and saved to a folder in Hugging Face's layout.

The folder also holds `head.json` (name, family and labels of each head) and `head.safetensors` (their weights).
"""

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from stilts.encoders.architectures import architecture, max_tokens
from stilts.encoders.checkpoint_files import local_checkpoint_problems, safetensors_problems
from stilts.errors import Problems, StiltsError
from stilts.tasks.base import Task
from stilts.tasks.families import get_family
from stilts.train.attention import FULL, IMPLEMENTATION, LEAST_WIDTH, Segments, has_kernel, segment_masks
from stilts.train.batch import Batch
from stilts.train.heads import HeadInput, HeadSpec, head_of, make_head
from stilts.train.heads.language_head import HEAD_CONFIG, HEAD_WEIGHTS
from stilts.train.hidden import LayerStates
from stilts.train.languages import LanguageIds
from stilts.train.precision import set_precision
from stilts.train.small_embedding import replace_small_embeddings
from stilts.train.tokenizer import load_tokenizer, save_tokenizer


@dataclass(frozen=True)
class Pooling:
    """How the vector of a sentence is computed from the hidden states of one layer.

    Attributes:
        layer: number of the layer; 0 is the output of the embeddings.
        pooling: `mean` over the tokens, or `cls`: the state of the class token.
    """

    layer: int
    pooling: str


class Model(nn.Module):
    """An encoder, its heads, and the tokenizer.

    Attributes:
        specs: description of each head, by name; also of heads without weights.
        heads: modules of the heads with weights, by name.
        packs: whether several sequences can share a row of a batch.
        last_token: whether the class token is the last token of a sequence (XLNet) instead of the first.
        windows: how far the tokens of the encoder's layers attend: FULL, and the distance of layers with a window.
    """

    def __init__(
        self, encoder: Any, tokenizer: Any, specs: Sequence[HeadSpec] = (), heads: Sequence[nn.Module | None] = ()
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.specs = {spec.name: spec for spec in specs}
        pairs = zip(self.specs, heads, strict=True)
        self.heads = nn.ModuleDict({name: head for name, head in pairs if head is not None})
        self.tokenizer = tokenizer
        self.config = encoder.config
        self.architecture = architecture(self.config.model_type)
        self.packs = self.architecture.packs
        self.windows = _windows(self.config)
        if self.packs:
            encoder.set_attn_implementation(IMPLEMENTATION)
        self.last_token = self.architecture.class_last
        self.language_ids = LanguageIds.of(self.config) if self.architecture.languages else None
        self._layer_states = LayerStates(encoder)
        replace_small_embeddings(encoder)
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # no head reads it, and its optimizer state would take memory

    @classmethod
    def load(
        cls, weights: Path, specs: Sequence[HeadSpec] = (), seed: int = 0, *, encoder: Any | None = None
    ) -> "Model":
        """Load an encoder and give it new heads. The weights of a head depend only on the seed and its description.

        The head of masked language modelling is loaded as well if the folder has one, from an earlier stage or from
        pretraining.

        Args:
            encoder: the encoder of the folder, if it is loaded already.

        Raises:
            StiltsError: the folder is not a checkpoint, or stilts cannot load its head of masked language modelling.
        """
        encoder = load_encoder(weights) if encoder is None else encoder
        tokenizer = load_tokenizer(weights)
        heads = _fresh_heads(encoder, specs, seed)
        for spec, head in zip(specs, heads, strict=True):
            if head is not None:
                head_of(spec.family).continue_from(head, weights, architecture(encoder.config.model_type))
        model = cls(encoder, tokenizer, specs, heads)
        model._freeze()
        return model

    def _freeze(self) -> None:
        """Leave out of training what fine-tuning leaves as it is in this architecture (`Architecture.frozen`)."""
        frozen = self.architecture.frozen
        if frozen:
            whole = any(head_of(spec.family).reads_embeddings for spec in self.specs.values())
            for name, parameter in self.encoder.named_parameters():
                parameter.requires_grad_(whole or re.search(frozen, name) is None)

    @classmethod
    def continued(cls, parent: "Model", specs: Sequence[HeadSpec] = (), seed: int = 0) -> "Model":
        """Copy the encoder of a trained model in fp32 and give it new heads.

        This is the model that `load` would return from the folder that `parent.save` writes.
        """
        encoder = copy.deepcopy(parent.encoder)
        if encoder.is_gradient_checkpointing:
            encoder.gradient_checkpointing_disable()
        heads = _fresh_heads(encoder, specs, seed)
        trained = [(spec, parent.heads[spec.name]) for spec in parent.specs.values() if spec.name in parent.heads]
        for spec, head in zip(specs, heads, strict=True):
            if head is not None:
                head_of(spec.family).continue_from_heads(head, trained)
        model = cls(encoder, parent.tokenizer, specs, heads)
        model._freeze()
        return model

    def copied(self) -> "Model":
        """A copy of the model with weights of its own, and with the same tokenizer."""
        heads = [copy.deepcopy(self.heads[name]) if name in self.heads else None for name in self.specs]
        return Model(copy.deepcopy(self.encoder), self.tokenizer, list(self.specs.values()), heads)

    @classmethod
    def reload(cls, weights: Path) -> "Model":
        """Load an encoder with the heads that were saved with it.

        Raises:
            StiltsError: the folder has no heads, because it holds a base model and not a trained stage.
        """
        if not (weights / HEAD_CONFIG).is_file():
            raise StiltsError(f"{weights}: no {HEAD_CONFIG}; these weights come from no stage, train one first")
        model = cls.load(weights, _saved_specs(weights))
        if model.heads:
            model.heads.to(model.dtype).load_state_dict(_head_tensors(weights))
        return model

    def spec(self, head: str | None = None) -> HeadSpec:
        """Description of a head.

        Args:
            head: name of the head; may be None if the model has only one.

        Raises:
            StiltsError: there is no such head, or `head` is None and the model does not have exactly one.
        """
        if head is None and len(self.specs) == 1:
            return next(iter(self.specs.values()))
        if head not in self.specs:
            there = ", ".join(self.specs) or "none"
            raise StiltsError(f"the model has no head {head!r}; it has {there}: train a stage of a task with that head")
        return self.specs[head]

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the encoder's weights."""
        return next(self.encoder.parameters()).dtype

    @property
    def depth(self) -> int:
        """Number of layers of the encoder."""
        return self.config.num_hidden_layers

    @property
    def max_length(self) -> int | None:
        """Largest number of tokens of a sequence; None if the encoder has relative positions."""
        return max_tokens(self.config.to_dict())

    def checkpoint_gradients(self) -> None:
        """Enable gradient checkpointing: the backward pass recomputes activations instead of storing them.

        Raises:
            StiltsError: transformers does not support it for this architecture.
        """
        if not self.architecture.recomputes or not self.encoder.supports_gradient_checkpointing:
            raise StiltsError(
                f"gradient checkpointing: transformers has none for {self.config.model_type}; set "
                "runtime.gradient_checkpointing to false and lower runtime.tokens_per_micro_batch"
            )
        self.encoder.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, batch: Batch, want: str | Pooling = "loss") -> torch.Tensor:
        """Run the model on a batch.

        Args:
            batch: its `head` names the head that reads the hidden states.
            want: what to return.

        Returns:
            For `loss`, the fp32 scalar sum of the losses of the batch's units. For `outputs`, the head's
            [units, outputs]. For a Pooling, sentence vectors [sequences, hidden] in fp32.
        """
        if isinstance(want, Pooling):
            return self._pool(batch, want)
        states = self.encode(batch).last_hidden_state
        states = states.reshape(-1, states.shape[-1])[batch.units]
        spec = self.spec(batch.head)
        family = head_of(spec.family)
        read = HeadInput(states, batch.units, batch.counts, lambda: self.encoder.get_input_embeddings().weight)
        if want == "loss":
            return family.loss(self.heads[spec.name], read, batch.targets)
        return family.decodable(family.logits(self.heads[spec.name], read))

    def encode(self, batch: Batch, **options: Any) -> Any:
        """Run the encoder on a batch and return transformers' output; the options are arguments of its forward pass."""
        inputs = {"input_ids": batch.input_ids, **self.architecture.options, **options}
        if batch.types is not None and self._reads_types:
            inputs["token_type_ids"] = batch.types
        if self.language_ids is not None:
            ids = torch.tensor(self.language_ids(batch.languages, len(batch.input_ids)), device=batch.input_ids.device)
            if self.architecture.languages == "sequences":
                inputs["lang_ids"] = ids
            else:
                inputs["langs"] = ids[:, None].expand_as(batch.input_ids)
        if batch.packed:
            first = self.config.pad_token_id + 1 if self.architecture.after_padding else 0
            inputs["position_ids"] = batch.positions + first
        if self.packs:
            inputs["segments"] = self._segments(batch)
        else:
            inputs["attention_mask"] = (batch.segments > 0).long()
        return self.encoder(**inputs)

    def _segments(self, batch: Batch) -> Segments:
        width = batch.segments.shape[1]
        how = self.attention_of(batch.segments.device)
        # Without dropout, torch's attention on a CPU is fast with masks, too.
        if how == "flash" or (how == "segments" and self.training):
            return Segments(batch.bounds.int(), width)
        return Segments(None, width, segment_masks(batch.segments, batch.packed, batch.full, self.windows))

    def attention_of(self, device: torch.device) -> str:
        """How the encoder computes attention on a device.

        Returns:
            `flash` (variable lengths in a kernel), `segments` (variable lengths in a loop, while the model is trained)
            or `masks`, see `attention.py`; for an encoder that does not pack, the name of transformers' implementation.
        """
        if not self.packs:
            return str(self.config._attn_implementation)
        size = getattr(self.config, "head_dim", None) or self.config.hidden_size // self.config.num_attention_heads
        if has_kernel(device, self.dtype, size, self.windows):
            return "flash"
        wide = self.config.hidden_size >= LEAST_WIDTH and self.dtype == torch.float32
        return "segments" if device.type == "cpu" and wide else "masks"

    @property
    def has_adapters(self) -> bool:
        """Whether the encoder has an adapter for each language (X-MOD)."""
        return self.language_ids is not None and self.architecture.languages == "sequences"

    def adapters(self, languages: Sequence[str] | None) -> set[str]:
        """Names (`adapter_of`) of the language adapters that sequences in these languages use, if there are any."""
        if self.language_ids is None or not self.has_adapters:
            return set()
        return {f"{ADAPTER}{self.config.languages[number]}" for number in self.language_ids(languages, 1)}

    @property
    def _reads_types(self) -> bool:
        return self.architecture.types or getattr(self.config, "type_vocab_size", 0) > 1

    def _pool(self, batch: Batch, pooling: Pooling) -> torch.Tensor:
        states = self._layer_states(pooling.layer, self.depth, partial(self.encode, batch)).float()
        mask = (batch.segments > 0).unsqueeze(-1)
        if pooling.pooling == "cls":
            place = mask.sum(1) - 1 if self.last_token else torch.zeros_like(mask[:, 0], dtype=torch.long)
            return states.gather(1, place[..., None].expand(-1, 1, states.shape[-1]))[:, 0]
        return (states * mask).sum(1) / mask.sum(1)

    def save(self, out: Path) -> None:
        """Write encoder, tokenizer and heads to a folder. `AutoModel.from_pretrained(out)` loads the encoder."""
        out.mkdir(parents=True, exist_ok=True)
        self.encoder.save_pretrained(out)
        save_tokenizer(self.tokenizer, out)
        if self.heads:
            state = {name: value.detach().cpu().contiguous() for name, value in self.heads.state_dict().items()}
            save_file(state, out / HEAD_WEIGHTS)
        saved = {"heads": [asdict(spec) for spec in self.specs.values()]}
        (out / HEAD_CONFIG).write_text(json.dumps(saved, ensure_ascii=False) + "\n", encoding="utf-8")


def _windows(config: Any) -> tuple[int, ...]:
    kinds = set(getattr(config, "layer_types", None) or ())
    return (FULL, int(config.sliding_window)) if "sliding_attention" in kinds else (FULL,)


ADAPTER = "language adapter "


def adapter_of(parameter: str) -> str | None:
    """Name of the language adapter that a parameter of an encoder belongs to; None for all other parameters."""
    found = re.search(r"\.adapter_modules\.([^.]+)\.", parameter)
    return None if found is None else ADAPTER + found[1]


def as_trained(task: Task, model: Model) -> Task:
    """Return the task with the labels of the model's head, whose order is that of the head's outputs.

    A task without a head, such as retrieval, is returned unchanged.

    Raises:
        StiltsError: the model has no head for the task, or it was trained for other labels.
    """
    if not get_family(task.family).has_head:
        return task
    spec = model.spec(task.head_name)
    if task.labels and task.labels != spec.labels:
        raise StiltsError(f"{task.name}: the model's head {spec.name!r} was trained for other labels: {spec.labels}")
    return replace(task, labels=spec.labels)


def _fresh_heads(encoder: Any, specs: Sequence[HeadSpec], seed: int) -> list[nn.Module | None]:
    embedding = encoder.get_input_embeddings().weight.shape[1]
    return [make_head(spec, encoder.config, embedding, seed) for spec in specs]


def _saved_specs(weights: Path) -> list[HeadSpec]:
    saved = json.loads((weights / HEAD_CONFIG).read_text(encoding="utf-8"))
    return [HeadSpec.from_json(spec) for spec in saved["heads"]]


def checked_folder(weights: Path) -> None:
    """Pass if a folder has all files of a checkpoint.

    Raises:
        Problems: what it lacks.
    """
    problems = local_checkpoint_problems(weights)
    if problems:
        raise Problems(problems)


def load_encoder(weights: Path) -> Any:
    """Load the encoder of a folder.

    A base model is loaded in fp32 whatever the precision of its files, a trained stage in the precision of its files.
    """
    checked_folder(weights)
    of_stage = (weights / HEAD_CONFIG).is_file()
    try:
        encoder, found = AutoModel.from_pretrained(
            weights,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            dtype="auto" if of_stage else torch.float32,
        )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise StiltsError(
            f"{weights}: the encoder cannot be loaded: {reason} (Code that comes with a checkpoint is never executed: "
            "its architecture must be one of transformers' own.)"
        ) from error
    # A checkpoint may lack the pooler, which no head reads, and nothing else.
    missing = sorted(name for name in found["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise StiltsError(
            f"{weights}: {len(missing)} tensors of a {encoder.config.model_type} encoder are not among the weights "
            f"({', '.join(missing[:3])} ...); they would be random: is this a checkpoint of another architecture?"
        )
    # Set explicitly because transformers loads XLNet's layers in fp32 whatever the precision of the weights.
    set_precision(encoder, encoder.config.dtype if of_stage else torch.float32)
    return encoder


def _head_tensors(weights: Path) -> dict[str, torch.Tensor]:
    problems = safetensors_problems(weights / HEAD_WEIGHTS)
    if problems:
        raise Problems(problems)
    return load_file(weights / HEAD_WEIGHTS)
