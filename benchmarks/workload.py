"""Synthetic training data and models that the benchmarks of training steps share.

The lengths of the sequences are drawn from log-normal distributions with the means of XNLI, UD-POS and windows of
TyDiQA in XLM-R tokens. The spreads are chosen so that padding to the longest of 32 (QA: 16) sequences gives the share
of padding that was measured on these tasks. Masked language modelling has paragraphs of up to 256 tokens. The token ids
are drawn from at most 40,000 rows of the vocabulary, which is about what the data of a stage uses.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

USED_ROWS = 40_000
"""Number of different tokens in the data, if the vocabulary has as many."""
ITEMS = 4096
"""Least number of examples."""
SPECIAL = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
FIRST_WORD = 5
MASKED = 0.15
MASK = 4


@dataclass(frozen=True)
class Data:
    """Form of the examples of a task.

    Attributes:
        mean: mean length of a sequence in tokens.
        spread: standard deviation of the logarithm of the length.
        labels: number of classes; 0 where the family has none.
    """

    family: str
    mean: float
    spread: float
    max_length: int
    labels: int


DATA = {
    "xnli": Data("classification", 38, 0.24, 128, 3),
    "pos": Data("tagging", 24, 0.59, 128, 17),
    "qa": Data("span_qa", 155, 0.50, 384, 2),
    "mlm": Data("mlm", 120, 0.50, 256, 0),
}

MODELS: dict[str, dict[str, Any]] = {
    "tiny": {
        "model_type": "xlm-roberta",
        "vocab_size": 8000,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
    },
    "74m": {
        "model_type": "bert",
        "vocab_size": 136_252,
        "hidden_size": 384,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
    },
    "large-slice": {
        "model_type": "xlm-roberta",
        "vocab_size": 250_002,
        "hidden_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
    },
    "large": {
        "model_type": "xlm-roberta",
        "vocab_size": 250_002,
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
    },
}
"""Shapes of encoders. `74m` is a multilingual MiniLM with a vocabulary cut to what a few tasks use; `large-slice` has
the lowest four layers of XLM-R Large."""


def configuration(model: str) -> Any:
    """The transformers configuration of a model: a name in MODELS, or a folder with a checkpoint."""
    from transformers import AutoConfig

    if model not in MODELS:
        return AutoConfig.from_pretrained(model, local_files_only=True)
    fields = dict(MODELS[model])
    return AutoConfig.for_model(fields.pop("model_type"), **SPECIAL, **fields)


def build(model: str, auto: Any, **options: Any) -> Any:
    """A model of one of transformers' auto classes: the checkpoint's weights, or random ones for a name in MODELS."""
    import torch

    if model not in MODELS:
        return auto.from_pretrained(model, local_files_only=True, dtype=torch.float32, **options)
    config = configuration(model)
    for name, value in options.items():
        setattr(config, name, value)
    torch.manual_seed(0)
    return auto.from_config(config)


def examples(data: Data, count: int, vocabulary: int, seed: int = 0) -> list[dict[str, Any]]:
    """Random rows of features, with labels where the family has any; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    centre = np.log(data.mean) - data.spread**2 / 2
    lengths = np.clip(rng.lognormal(centre, data.spread, count), 5, data.max_length).astype(int)
    words = rng.permutation(np.arange(FIRST_WORD, vocabulary))[:USED_ROWS]
    rows: list[dict[str, Any]] = []
    for number, length in enumerate(lengths.tolist()):
        ids = [SPECIAL["bos_token_id"], *rng.choice(words, length - 2).tolist(), SPECIAL["eos_token_id"]]
        row: dict[str, Any] = {"item": number, "example": number, "input_ids": ids}
        if data.family == "classification":
            row["label"] = int(rng.integers(data.labels))
        elif data.family == "tagging":
            row["positions"] = list(range(1, length - 1, 2))
            row["labels"] = rng.integers(data.labels, size=len(row["positions"])).tolist()
        elif data.family == "span_qa":
            row["start"] = row["end"] = int(rng.integers(length))
        rows.append(row)
    return rows


class Tokenizer:
    """The two facts that masking needs of a tokenizer."""

    all_special_ids = tuple(SPECIAL.values())
    mask_token_id = MASK


def stilts_model(model: str, data: Data, gradient_checkpointing: bool = False) -> Any:
    """The encoder in a `stilts.train.model.Model`, with a head for the data."""
    from transformers import AutoModel

    from stilts.train.heads import HeadSpec, make_head
    from stilts.train.model import Model

    encoder = build(model, AutoModel)
    spec = HeadSpec("head", data.family, tuple(map(str, range(data.labels))))
    head = make_head(spec, encoder.config, encoder.config.hidden_size, 0)
    return Model(encoder, Tokenizer(), [spec], [head])


def flops_per_token(model: str, data: Data, lengths: np.ndarray) -> float:
    """Floating-point operations of a training step per real token, without those of the optimizer."""
    from stilts.encoders.sizes import shape

    size = shape(configuration(model).to_dict())
    mean = float((lengths.astype(float) ** 2).sum() / lengths.sum())  # what a token attends to
    return size.flops_per_token(mean, training=True, predicted=MASKED if data.family == "mlm" else 0.0)


def gemm_flops(size: int, device: Any, dtype: Any, seconds: float = 0.5) -> float:
    """Floating-point operations per second of products of square matrices: the best of several short measurements."""
    import torch

    a = torch.randn(size, size, device=device).to(dtype)
    b = torch.randn(size, size, device=device).to(dtype)

    def synchronize() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    best = float("inf")
    a @ b
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        synchronize()
        began = time.perf_counter()
        repeats = 10 if device.type == "cuda" else 1
        for _ in range(repeats):
            a @ b
        synchronize()
        best = min(best, (time.perf_counter() - began) / repeats)
    return 2 * size**3 / best


def is_folder(model: str) -> bool:
    return model not in MODELS and Path(model).is_dir()
