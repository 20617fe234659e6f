"""Tensors of one micro-batch.

Padded: each row holds one sequence. Packed: a row may hold several sequences, which do not attend to each other.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from stilts.data.batching import MicroBatch
from stilts.train.features import Features, offsets_of, spans
from stilts.train.heads import head_of


@dataclass(frozen=True)
class Batch:
    """A micro-batch: rows of tokens, and the positions whose hidden states a head reads (units).

    Attributes:
        input_ids: int64 [rows, width].
        segments: int64 [rows, width], number of the token's sequence within its row, from 1; 0 is padding.
        positions: int64 [rows, width], index of the token within its sequence, from 0.
        bounds: int64 [n + 1], the first token of each sequence and of each row's padding in the rows laid end to end,
            in ascending order, then rows * width, once or several times.
        types: int64 [rows, width], token type ids; None if the features have none.
        packed: whether rows may hold several sequences.
        full: whether no row has padding.
        units: int64 [units], indices into the flattened [rows * width] hidden states.
        counts: number of units of each sequence.
        order: row number of each sequence in the features that the batch was made from.
        languages: language of each sequence; None if the features have no languages.
        targets: tensors that the family's loss reads (`FamilyHead.targets`); empty without gold labels.
        head: name of the model's head that reads the hidden states; None if the model has only one.
        buffer: int64 [n], the memory of all tensors.
    """

    input_ids: torch.Tensor
    segments: torch.Tensor
    positions: torch.Tensor
    bounds: torch.Tensor
    types: torch.Tensor | None
    packed: bool
    full: bool
    units: torch.Tensor
    counts: list[int]
    order: list[int]
    languages: list[str] | None = None
    targets: dict[str, torch.Tensor] = field(default_factory=dict)
    head: str | None = None
    buffer: torch.Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """Copy the batch to a device: one copy, which a GPU makes without the host waiting for it."""
        if self.buffer is None:
            return self
        buffer = self.buffer.to(device, non_blocking=True)

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            of_kind = buffer.view(tensor.dtype)
            return of_kind.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())

        return replace(
            self,
            input_ids=moved(self.input_ids),
            segments=moved(self.segments),
            positions=moved(self.positions),
            bounds=moved(self.bounds),
            types=None if self.types is None else moved(self.types),
            units=moved(self.units),
            targets={name: _in_fp32(moved(tensor)) for name, tensor in self.targets.items()},
            buffer=buffer,
        )


def assemble(
    features: Features,
    rows: MicroBatch,
    pad_id: int,
    packed: bool,
    last_token: bool = False,
    head: str | None = None,
    *,
    pin: bool = False,
    least_width: int = 0,
    least_rows: int = 0,
    least_bounds: int = 0,
) -> Batch:
    """Arrange sequences in rows, padded to the width of the longest row.

    Args:
        rows: for each row of the batch, the row numbers of its sequences in `features`.
        pad_id: id of the padding token.
        packed: whether the model packs, that is, whether rows may hold several sequences.
        last_token: whether the class token is the last token of a sequence (XLNet) instead of the first.
        head: name of the head that reads the batch; None if the model has only one.
        pin: whether a GPU will copy the batch, which needs pinned memory.
        least_width, least_rows, least_bounds: rows that are all shorter are padded to this width, fewer rows by rows
            without a sequence, and shorter bounds by the number of tokens.
    """
    order = np.fromiter((index for row in rows for index in row), dtype=np.int64)
    sizes = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    part = features.take(order)
    lengths = part.ids.lengths
    row_of = np.repeat(np.arange(len(rows)), sizes)
    leading = offsets_of(sizes)[:-1]  # the first sequence of each row
    ends = part.ids.offsets
    before = ends[:-1] - np.repeat(ends[leading], sizes)
    width = max(int(np.add.reduceat(lengths, leading).max()), least_width)
    first = row_of * width + before
    tokens = spans(first, lengths)
    number = np.arange(1, len(order) + 1) - np.repeat(leading, sizes)
    family = head_of(part.family)
    units, counts = family.units(part, first, tokens, last_token)
    shape = max(len(rows), least_rows), width
    segments = _Placed(shape, tokens, np.repeat(number, lengths), 0)
    if not packed:
        # Some encoders compute NaN for a row without any token that can be attended to.
        segments = segments.with_tokens(np.arange(len(rows), shape[0]) * width, 1)
    arrays: dict[str, _Array] = {
        "input_ids": _Placed(shape, tokens, part.ids.values, pad_id),
        "segments": segments,
        "positions": _Placed(shape, tokens, tokens - np.repeat(first, lengths), 0),
        "bounds": _bounds(first, first + lengths, shape, least_bounds),
        "units": units,
        **{f"{_TARGET}{name}": value for name, value in family.targets(part).items()},
    }
    if part.types is not None:
        arrays["types"] = _Placed(shape, tokens, part.types.values, 0)
    buffer, tensors = _laid_out(arrays, pin)
    return Batch(
        input_ids=tensors["input_ids"],
        segments=tensors["segments"],
        positions=tensors["positions"],
        bounds=tensors["bounds"],
        types=tensors.get("types"),
        packed=packed,
        full=len(tokens) == math.prod(shape),
        units=tensors["units"],
        counts=counts.tolist(),
        order=order.tolist(),
        languages=None if part.language is None else [part.languages[code] for code in part.language],
        targets={name.removeprefix(_TARGET): value for name, value in tensors.items() if name.startswith(_TARGET)},
        head=head,
        buffer=buffer,
    )


def _bounds(first: np.ndarray, ends: np.ndarray, shape: tuple[int, int], least: int) -> np.ndarray:
    """Where the sequences and the padding of each row begin, and where the last row ends; see `Batch.bounds`.

    Args:
        first, ends: int64 [sequences], where each sequence begins and ends in the rows laid end to end.
        least: the least length of the result.
    """
    rows, width = shape
    bounds = np.unique(np.concatenate([first, ends, np.arange(rows + 1) * width]))
    return np.pad(bounds, (0, max(0, least - len(bounds))), mode="edge")


_TARGET = "target "


@dataclass(frozen=True)
class _Placed:
    """An array of `shape` that has the values at the given places of its flat form, and `empty` elsewhere."""

    shape: tuple[int, int]
    places: np.ndarray
    values: np.ndarray
    empty: int

    def with_tokens(self, places: np.ndarray, value: int) -> "_Placed":
        """The array with a value at further places."""
        values = np.concatenate([self.values, np.full(len(places), value)])
        return replace(self, places=np.concatenate([self.places, places]), values=values)

    def write(self, flat: np.ndarray) -> None:
        flat.fill(self.empty)
        flat[self.places] = self.values


_Array = _Placed | np.ndarray


def _laid_out(arrays: dict[str, _Array], pin: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Write arrays into one int64 buffer; return it and the views of it, by name: int64, or float64 for floats."""
    sizes = [math.prod(array.shape) for array in arrays.values()]
    buffer = torch.empty(sum(sizes), dtype=torch.int64, pin_memory=pin)
    for flat, array in zip(np.split(buffer.numpy(), np.cumsum(sizes)[:-1]), arrays.values(), strict=True):
        if isinstance(array, _Placed):
            array.write(flat)
        elif _is_float(array):
            flat.view(np.float64)[:] = array.ravel()
        else:
            flat[:] = array.ravel()
    views = {}
    for part, (name, array) in zip(buffer.split(sizes), arrays.items(), strict=True):
        views[name] = (part.view(torch.float64) if _is_float(array) else part).view(array.shape)
    return buffer, views


def _is_float(array: _Array) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind == "f"


def _in_fp32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
