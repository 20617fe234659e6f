"""Batch: the tensors of one micro-batch, packed or padded."""

from dataclasses import dataclass, field

import numpy as np
import torch

from stilts.data.batching import MicroBatch
from stilts.train.features import Features, spans

TOKEN_FAMILIES = ("tagging", "parsing", "srl", "mlm")
"""Families whose heads read the states at `positions`."""


@dataclass(frozen=True)
class Batch:
    """Rows of tokens, and which of their states a head reads.

    Attributes:
        input_ids: int64 [rows, width].
        segments: int64 [rows, width], number of a token's sequence within its row, from 1; 0 is padding.
        positions: int64 [rows, width], from 0 within each sequence.
        types: int64 [rows, width], token type ids, or None.
        packed: whether rows may hold several sequences.
        units: int64 [u], where the head reads: indices into the rows laid end to end.
        counts: units of each sequence.
        order: the sequences' row numbers in the table that the batch was made from.
        languages: the language of each sequence; None where the features name none.
        targets: tensors that the family's loss reads; empty without gold.
        head: name of the model's head that reads them; None: its only one.
    """

    input_ids: torch.Tensor
    segments: torch.Tensor
    positions: torch.Tensor
    types: torch.Tensor | None
    packed: bool
    units: torch.Tensor
    counts: list[int]
    order: list[int]
    languages: list[str] | None = None
    targets: dict[str, torch.Tensor] = field(default_factory=dict)
    head: str | None = None


def collate(
    features: Features,
    rows: MicroBatch,
    pad_id: int,
    device: torch.device,
    packed: bool,
    last_token: bool = False,
    head: str | None = None,
) -> Batch:
    """Lay sequences out in rows as wide as the fullest.

    Args:
        rows: row numbers of `features` that share a row of tokens.
        last_token: read a sequence's last token instead of its first (XLNet puts its class token there).
        head: name of the head that the batch is for; None: the model's only one.
    """
    order = [index for row in rows for index in row]
    part = features.take(order)
    lengths = part.ids.lengths
    row_of = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    number = np.concatenate([np.arange(len(row)) for row in rows])
    before = np.concatenate([np.cumsum([0, *lengths[row_of == r][:-1]]) for r in range(len(rows))])
    width = int(np.bincount(row_of, weights=lengths).max())
    first = row_of * width + before
    tokens = spans(first, lengths)

    def fill(values: np.ndarray, empty: int) -> torch.Tensor:
        flat = np.full(len(rows) * width, empty, dtype=np.int64)
        flat[tokens] = values
        return torch.from_numpy(flat.reshape(len(rows), width)).to(device)

    units, counts = _units(part, first, tokens, last_token)
    return Batch(
        input_ids=fill(part.ids.values, pad_id),
        segments=fill(np.repeat(number + 1, lengths), 0),
        positions=fill(spans(np.zeros_like(first), lengths), 0),
        types=None if part.types is None else fill(part.types.values, 0),
        packed=packed,
        units=torch.from_numpy(units).to(device),
        counts=counts.tolist(),
        order=order,
        languages=None if part.language is None else [part.languages[code] for code in part.language],
        targets={name: torch.from_numpy(value).to(device) for name, value in _targets(part).items()},
        head=head,
    )


def _units(part: Features, first: np.ndarray, tokens: np.ndarray, last_token: bool) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the states that the family's head reads, and their number for each sequence."""
    lengths = part.ids.lengths
    if part.family in TOKEN_FAMILIES:
        assert part.positions is not None
        counts = part.positions.lengths
        return np.repeat(first, counts) + part.positions.values, counts
    if part.family in ("span_qa", "retrieval"):
        return tokens, lengths
    return first + (lengths - 1 if last_token else 0), np.ones_like(lengths)


def _targets(part: Features) -> dict[str, np.ndarray]:
    if part.family in TOKEN_FAMILIES and part.labels is not None:
        heads = {} if part.heads is None else {"heads": part.heads.values.astype(np.int64)}
        return {"labels": part.labels.values.astype(np.int64), **heads}
    if part.family == "span_qa" and part.start is not None and part.end is not None:
        return {"start": part.start.astype(np.int64), "end": part.end.astype(np.int64), "lengths": part.ids.lengths}
    if part.family == "classification" and part.label is not None:
        return {"labels": part.label.astype(np.int64)}
    if part.family == "multiple_choice" and part.label is not None:
        _, where, group = np.unique(part.item, return_index=True, return_inverse=True)
        return {"labels": part.label[where].astype(np.int64), "group": group, "choice": part.choice.astype(np.int64)}
    if part.family == "dual_encoder" and part.block is not None:
        return {"pair": part.item, "side": part.choice, "block": part.block}
    return {}
