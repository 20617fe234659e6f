"""The outputs of a trained model on every row of a features table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stilts.data.batching import MicroBatch, split_padded
from stilts.errors import StiltsError
from stilts.tasks.families import get_family
from stilts.train.batch import collate
from stilts.train.features import Features
from stilts.train.heads import head_of
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
    """Return the outputs of all rows, in row order, on every rank (collective).

    Rows are sorted by length and padded; about one token in a hundred is padding.

    Args:
        features: rows of the family's features.
        settings: for families without a head: `layer` out of `layers` (scaled to the model's depth) and `pooling`.
        family: the family of the features; by default that of the head. One without a head gets sentence vectors.
        head: name of the head. With None, the model's only one.
        tokens_per_batch: padded tokens of one forward pass of one rank.

    Raises:
        StiltsError: the model has no such head, or a row is longer than the model's positions.

    Returns:
        One float32 array per row, of the shape that the family's docstring in `tasks/families` names.
    """
    if family is None or get_family(family).has_head:
        family, head = model.spec(head).family, model.spec(head).name
    want: str | Pooling = "outputs" if get_family(family).has_head else sentence_pooling(model, settings)
    columns = Features.of(features, family)
    _check_lengths(columns, model)
    batches = _batches(columns, tokens_per_batch)
    training = model.training
    model.eval()
    done: list[tuple[int, np.ndarray]] = []
    with torch.no_grad():
        # ZeRO 3 gathers parameters in every forward pass, so all ranks must make equally many: some repeat a batch.
        for turn in range(0, len(batches), ranks.world):
            rows = batches[min(turn + ranks.rank, len(batches) - 1)]
            batch = collate(columns, rows, model.config.pad_token_id, ranks.device, False, model.last_token, head)
            outputs = model(batch, want).float().cpu().numpy()
            ranks.heartbeat.beat()
            if turn + ranks.rank < len(batches):
                done += zip(batch.order, head_of(family).by_sequence(outputs, batch.counts), strict=True)
    model.train(training)
    results = dict(pair for part in ranks.gather(done) for pair in part)
    return [results[row] for row in range(len(columns))]


def sentence_pooling(model: Model, settings: Mapping[str, Any]) -> Pooling:
    """Return the layer at the same relative depth as `layer` of `layers` (XTREME: 14 of 24), at least 1."""
    layer = round(settings["layer"] * model.depth / settings["layers"])
    return Pooling(min(max(1, layer), model.depth), settings.get("pooling", "mean"))


def _check_lengths(columns: Features, model: Model) -> None:
    longest = int(columns.ids.lengths.max(initial=0))
    if model.max_length is not None and longest > model.max_length:
        raise StiltsError(
            f"a sequence of {longest} tokens is more than the model's {model.max_length} positions; lower max_length"
        )


def _batches(columns: Features, budget: int) -> list[MicroBatch]:
    """Return micro-batches of rows of similar lengths, the longest first."""
    lengths = columns.ids.lengths.tolist()
    return split_padded(lengths, range(len(lengths)), budget, 1)[0] if lengths else []
