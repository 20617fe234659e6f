"""Tensors of one micro-batch.

Padded: each row holds one sequence. Packed: a row may hold several sequences, which do not attend to each other.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from stilts.data.batching import MicroBatch
from stilts.train.features import Features, spans
from stilts.train.heads import head_of


@dataclass(frozen=True)
class Batch:
    """A micro-batch: rows of tokens, and the positions whose hidden states a head reads (units).

    Attributes:
        input_ids: int64 [rows, width].
        segments: int64 [rows, width], number of the token's sequence within its row, from 1; 0 is padding.
        positions: int64 [rows, width], index of the token within its sequence, from 0.
        types: int64 [rows, width], token type ids; None if the features have none.
        packed: whether rows may hold several sequences.
        units: int64 [units], indices into the flattened [rows * width] hidden states.
        counts: number of units of each sequence.
        order: row number of each sequence in the features that the batch was made from.
        languages: language of each sequence; None if the features have no languages.
        targets: tensors that the family's loss reads (`FamilyHead.targets`); empty without gold labels.
        head: name of the model's head that reads the hidden states; None if the model has only one.
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
    """Arrange sequences in rows, padded to the width of the longest row.

    Args:
        rows: for each row of the batch, the row numbers of its sequences in `features`.
        pad_id: id of the padding token.
        packed: whether the model packs, that is, whether rows may hold several sequences.
        last_token: whether the class token is the last token of a sequence (XLNet) instead of the first.
        head: name of the head that reads the batch; None if the model has only one.
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
