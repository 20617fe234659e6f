"""Prediction: a trained model's outputs on every row of a features table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stilts.data.batching import MicroBatch, split_padded
from stilts.errors import StiltsError
from stilts.train.batch import TOKEN_FAMILIES, Batch, collate
from stilts.train.features import Features
from stilts.train.model import Model, Pooling
from stilts.train.ranks import Ranks

TOKENS_PER_BATCH = 16384


def forward(
    model: Model,
    features: pa.Table,
    settings: Mapping[str, Any],
    ranks: Ranks,
    *,
    family: str | None = None,
    head: str | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> list[np.ndarray]:
    """Outputs of every row, in row order, on every rank (collective).

    Rows are sorted by length and padded, which leaves about one token in a hundred to padding.

    Args:
        features: rows of the family's features.
        settings: for retrieval `layer` counted out of `layers` (scaled to the model's depth) and `pooling`.
        family: the head's own by default; `retrieval` pools the encoder's states and needs no head.
        head: name of the head that is asked; None: the model's only one.
        tokens_per_batch: padded tokens of one pass of one rank.

    Raises:
        StiltsError: the model has no such head, or a row is longer than the model's positions.

    Returns:
        float32 arrays: classification [labels], multiple choice [1], tagging [words, labels],
        parsing [words, words + 1, 2], srl [words + 1, labels], span QA [tokens, 2], retrieval [hidden].
    """
    if family != "retrieval":
        family, head = model.spec(head).family, model.spec(head).name
    columns = Features.of(features, family)
    want: str | Pooling = sentence_pooling(model, settings) if family == "retrieval" else "outputs"
    _check_lengths(columns, model)
    batches = _batches(columns, tokens_per_batch)
    training = model.training
    model.eval()
    done: list[tuple[int, np.ndarray]] = []
    with torch.no_grad():
        # ZeRO-3 gathers parameters in every pass: each rank must make as many, so that some repeat the last batch.
        for turn in range(0, len(batches), ranks.world):
            rows = batches[min(turn + ranks.rank, len(batches) - 1)]
            batch = collate(columns, rows, model.config.pad_token_id, ranks.device, False, model.last_token, head)
            outputs = model(batch, want).float().cpu().numpy()
            if turn + ranks.rank < len(batches):
                done += _by_row(batch, outputs, family)
    model.train(training)
    results = dict(pair for part in ranks.gather(done) for pair in part)
    return [results[row] for row in range(len(columns))]


def sentence_pooling(model: Model, settings: Mapping[str, Any]) -> Pooling:
    """The layer at the same relative depth as `layer` of `layers` (XTREME: 14 of XLM-R Large's 24), at least 1."""
    layer = round(settings["layer"] * model.depth / settings["layers"])
    return Pooling(min(max(1, layer), model.depth), settings.get("pooling", "mean"))


def _check_lengths(columns: Features, model: Model) -> None:
    longest = int(columns.ids.lengths.max(initial=0))
    if model.max_length is not None and longest > model.max_length:
        raise StiltsError(
            f"a sequence of {longest} tokens is more than the model's {model.max_length} positions; lower max_length"
        )


def _batches(columns: Features, budget: int) -> list[MicroBatch]:
    """Micro-batches of similar lengths, longest first, each row for itself."""
    lengths = columns.ids.lengths.tolist()
    return split_padded(lengths, range(len(lengths)), budget, 1)[0] if lengths else []


def _by_row(batch: Batch, outputs: np.ndarray, family: str) -> list[tuple[int, np.ndarray]]:
    if family in TOKEN_FAMILIES or family == "span_qa":
        parts = np.split(outputs, np.cumsum(batch.counts)[:-1])
    else:
        parts = list(outputs)
    if family == "parsing":
        parts = [part[:, : len(part) + 1] for part in parts]
    return list(zip(batch.order, parts, strict=True))
