"""The tensors of one micro-batch, packed or padded."""

from dataclasses import dataclass, field

import numpy as np
import torch

from stilts.data.batching import MicroBatch
from stilts.train.features import Features, spans
from stilts.train.heads import head_of


@dataclass(frozen=True)
class Batch:
    """Rows of tokens, and the states among them that a head reads.

    Attributes:
        input_ids: int64 [rows, width].
        segments: int64 [rows, width], number of a token's sequence within its row, from 1; 0 is padding.
        positions: int64 [rows, width], from 0 within each sequence.
        types: int64 [rows, width], token type ids, or None.
        packed: whether rows may hold several sequences.
        units: int64 [u], indices of the states that the head reads, into the rows laid end to end.
        counts: number of units of each sequence.
        order: the sequences' row numbers in the table that the batch was made from.
        languages: the language of each sequence; None if the features name none.
        targets: tensors that the family's loss reads (`FamilyHead.targets`); empty without gold.
        head: name of the model's head that reads the states. With None, its only one.
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
    """Lay out sequences in rows as wide as the longest.

    Args:
        rows: row numbers of `features` that share a row of tokens.
        last_token: read a sequence's last token instead of its first (XLNet puts its class token there).
        head: name of the head that the batch is for. With None, the model's only one.
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

    family = head_of(part.family)
    units, counts = family.units(part, first, tokens, last_token)
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
        targets={name: torch.from_numpy(value).to(device) for name, value in family.targets(part).items()},
        head=head,
    )
