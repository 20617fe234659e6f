"""Made-up text, features and tiny models that the training tests share."""

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stilts.data.batching import MicroBatch
from stilts.experiment.recipe import Recipe
from stilts.train.base import materialise_base
from stilts.train.batch import Batch, assemble
from stilts.train.features import Features
from stilts.train.heads import HeadSpec
from stilts.train.model import Model
from stilts.train.step_schedule import TrainPart

CONFIG = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]


def sentences(count: int, seed: int = 0) -> list[str]:
    """Sentences of made-up words."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(SYLLABLES, size=rng.integers(1, 4))) for _ in range(300)]
    return [" ".join(rng.choice(words, size=rng.integers(4, 12))) for _ in range(count)]


def make_base(out: Path, text: Path, plain: bool = False, **config: Any) -> Path:
    """A base model; `plain` leaves out the sizes, for model types that name them otherwise."""
    init = {"config": {**({} if plain else CONFIG), **config}, "tokenizer": {"vocab_size": 200}, "seed": 1, "text": "-"}
    materialise_base({"init": init}, out, [text])
    return out


def head_spec(family: str, labels: int = 2, name: str | None = None) -> HeadSpec:
    """A head called after its family, with labels `0`, `1` ..."""
    classes = 0 if family in ("multiple_choice", "span_qa", "mlm", "retrieval", "dual_encoder") else labels
    return HeadSpec(name or family, family, tuple(map(str, range(classes))))


def load_model(base: Path, family: str, labels: int = 2, seed: int = 0) -> Model:
    """A model with one fresh head."""
    return Model.load(base, [head_spec(family, labels)], seed)


def one_part(features: pa.Table, family: str, recipe: Recipe) -> list[TrainPart]:
    """A stage of one task, called as its family, for the model of `load_model`."""
    return [TrainPart(family, family, features, recipe)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_features(family: str, count: int = 40, seed: int = 0, longest: int = 30) -> pa.Table:
    """Features that can be learnt: a label is the parity of the token beside it."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Any]] = {"item": [], "example": [], "input_ids": []}

    def add(item: int, **more: Any) -> None:
        body = rng.integers(4, 150, size=rng.integers(3, longest - 1)).tolist()
        if "first" in more:
            body[0] = more.pop("first")
        rows["item"].append(item)
        rows["example"].append(item)
        rows["input_ids"].append([0, *body, 2])
        for name, value in more.items():
            rows.setdefault(name, []).append(value)

    for item in range(count):
        if family == "classification":
            label = int(rng.integers(2))
            add(item, label=label, first=10 + label)
        elif family == "multiple_choice":
            choices, label = int(rng.integers(2, 5)), int(rng.integers(2))
            for choice in range(choices):
                add(item, label=label, first=10 + (choice == label))
        elif family == "dual_encoder":
            for _ in range(2):
                add(item, first=10 + item)
        else:
            add(item)
            body = rows["input_ids"][-1]
            if family == "tagging":
                positions = sorted(rng.choice(np.arange(1, len(body) - 1), size=2, replace=False).tolist())
                rows.setdefault("positions", []).append(positions)
                rows.setdefault("labels", []).append([body[p] % 2 for p in positions[:-1]] + [-100])
            elif family == "srl":
                count = int(rng.integers(1, len(body) - 1))
                predicate = int(rng.integers(1, count + 1))
                rows.setdefault("positions", []).append([*range(1, count + 1), predicate])
                rows.setdefault("labels", []).append([int(body[p] % 2) for p in range(1, count + 1)] + [-100])
            elif family == "parsing":
                count = int(rng.integers(1, len(body) - 1))
                heads = rng.integers(0, count + 1, size=count)
                heads[heads == np.arange(1, count + 1)] = -100
                rows.setdefault("positions", []).append(list(range(1, count + 1)))
                rows.setdefault("heads", []).append(heads.tolist())
                rows.setdefault("labels", []).append(np.where(heads < 0, -100, heads % 2).tolist())
            elif family == "span_qa":
                rows.setdefault("start", []).append(int(np.argmax(body)))
                rows.setdefault("end", []).append(int(np.argmax(body)))
    ints, lists = pa.int32(), pa.list_(pa.int32())
    kinds = {name: lists if name in ("input_ids", "positions", "heads", "labels") else ints for name in rows}
    return pa.table({name: pa.array(values, kinds[name]) for name, values in rows.items()})


def collate(
    features: Features,
    rows: MicroBatch,
    pad_id: int,
    device: torch.device,
    packed: bool,
    last_token: bool = False,
    head: str | None = None,
) -> Batch:
    """A batch on a device; see `assemble`."""
    return assemble(features, rows, pad_id, packed, last_token, head).to(device)
