"""The outputs of a trained model on every row of a features table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stilts.data.batching import MicroBatch, split_padded
from stilts.errors import StiltsError
from stilts.tasks.families import get_family
from stilts.train.batch import Batch, assemble
from stilts.train.features import Features
from stilts.train.heads import head_of
from stilts.train.hidden import is_partitioned
from stilts.train.model import Model, Pooling
from stilts.train.ranks import Ranks

TOKENS_PER_BATCH = 16384

GPU_WIDTHS = 16
"""On a GPU, the widths of batches are multiples of this number: its libraries prepare each new shape anew."""

_Outputs = tuple[Batch, torch.Tensor]


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
    run = _Run(model, features, settings, ranks, family, head, tokens_per_batch)
    done: list[tuple[int, np.ndarray]] = []
    for batch, outputs in _one_behind(run.outputs()):
        arrays = head_of(run.columns.family).by_sequence(outputs.cpu().numpy(), batch.counts)
        done += zip(batch.order, arrays, strict=True)
    results = dict(pair for part in ranks.gather(done) for pair in part)
    return [results[row] for row in range(len(run.columns))]


def vectors(
    model: Model,
    features: pa.Table,
    settings: Mapping[str, Any],
    ranks: Ranks,
    *,
    family: str | None = None,
    head: str | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> torch.Tensor:
    """Return the vectors of all rows, in row order, on the device of every rank (collective).

    For families whose output is one vector per row; arguments and errors are those of `forward`.

    Returns:
        float32 [rows, hidden].
    """
    run = _Run(model, features, settings, ranks, family, head, tokens_per_batch)
    parts = [outputs for _, outputs in run.outputs()]
    if not run.batches:
        return torch.zeros((0, 1), device=ranks.device)
    orders = [
        np.array([row for batch in run.batches[rank :: ranks.world] for rows in batch for row in rows], np.int64)
        for rank in range(ranks.world)
    ]
    none = torch.zeros((0, run.width), device=ranks.device)  # a rank may have repeated a batch and keep nothing
    found = ranks.gather_rows(torch.cat([none, *parts]), list(map(len, orders)))
    return found[torch.from_numpy(np.argsort(np.concatenate(orders))).to(found.device)]


class _Run:
    """The forward passes over one table of features.

    Attributes:
        width: numbers of one output; 0 before the first forward pass.
    """

    def __init__(
        self,
        model: Model,
        features: pa.Table,
        settings: Mapping[str, Any],
        ranks: Ranks,
        family: str | None,
        head: str | None,
        budget: int,
    ) -> None:
        if family is None or get_family(family).has_head:
            family, head = model.spec(head).family, model.spec(head).name
        self.model, self.ranks, self.head = model, ranks, head
        has_head = get_family(family).has_head
        self.want: str | Pooling = "outputs" if has_head else sentence_pooling(model, settings)
        self.columns = Features.of(features, family)
        _check_lengths(self.columns, model)
        self.widths = _widths(self.columns, model, GPU_WIDTHS if ranks.device.type == "cuda" else 1)
        rows = range(len(self.widths))
        self.batches = split_padded(self.widths.tolist(), rows, budget, 1)[0] if rows else []
        self.width = 0

    def outputs(self) -> Iterator[_Outputs]:
        """Yield the batches of this rank, the longest rows first, with their outputs in fp32 on the device.

        A GPU may still be computing them, and a thread assembles the next batch in the meantime.
        """
        # ZeRO 3 gathers parameters in every forward pass, so all ranks must make equally many: some repeat a batch.
        turns = range(self.ranks.rank, len(self.batches) + self.ranks.rank, self.ranks.world)
        training = self.model.training
        self.model.eval()
        try:
            batches = _ahead(self._assemble, [self.batches[min(turn, len(self.batches) - 1)] for turn in turns])
            for turn, batch in zip(turns, batches, strict=True):
                outputs = self._compute(batch)
                if turn < len(self.batches):
                    yield batch, outputs
        finally:
            self.model.train(training)

    def _assemble(self, rows: MicroBatch) -> Batch:
        model, pin = self.model, self.ranks.device.type == "cuda"
        width = max(int(self.widths[row]) for sequences in rows for row in sequences)
        return assemble(
            self.columns, rows, model.config.pad_token_id, False, model.last_token, self.head,
            pin=pin, least_width=width,
        )  # fmt: skip

    def _compute(self, batch: Batch) -> torch.Tensor:
        # DeepSpeed keeps gathered parameters for the next training step, which cannot use inference tensors.
        mode = torch.no_grad() if is_partitioned(self.model) else torch.inference_mode()
        with mode:
            outputs: torch.Tensor = self.model(batch.to(self.ranks.device), self.want).float()
        self.width = outputs.shape[-1]
        self.ranks.heartbeat.beat()
        return outputs


def _ahead(make: Callable[[MicroBatch], Batch], items: Sequence[MicroBatch]) -> Iterator[Batch]:
    """Yield make(item) for each item; that of the next one is made in a thread."""
    with ThreadPoolExecutor(1, "batches") as thread:
        made = [thread.submit(make, item) for item in items[:1]]
        for number in range(len(items)):
            batch = made.pop().result()
            made += [thread.submit(make, item) for item in items[number + 1 : number + 2]]
            yield batch


def _one_behind(items: Iterator[_Outputs]) -> Iterator[_Outputs]:
    """Yield each item after the next one was taken, so that the device has work while the host reads its outputs."""
    last: _Outputs | None = None
    for item in items:
        if last is not None:
            yield last
        last = item
    if last is not None:
        yield last


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


def _widths(columns: Features, model: Model, step: int) -> np.ndarray:
    """The width of a batch whose longest row is this one, for each row: its length, rounded up to a multiple of `step`
    as far as the model has positions."""
    rounded = -(-columns.ids.lengths // step) * step
    return rounded if model.max_length is None else np.minimum(rounded, model.max_length)
