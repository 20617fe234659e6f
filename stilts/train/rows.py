"""Rows in use: a stage trains only the rows of the input embeddings that its data can read.

A multilingual vocabulary has 250,000 rows, of which a stage's data reads perhaps a fifth. A row that is never read has
a gradient of 0 in every step. AdamW then leaves its moments at 0, and changes it by weight decay alone: after t steps
it is its first value times the product of (1 - learning rate x decay) over these steps. So while a stage trains, the
encoder's embedding is replaced by one of the rows in use, and the optimizer, the resume states and the copies of the
best weights are smaller by the others. At the end the whole matrix is put together. The result is that of training the
whole matrix, up to fp32 rounding where there is weight decay, and exactly where there is none.

A head that reads the embeddings itself (masked language modelling) gives every row a gradient; the embedding of such a
stage is not replaced.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from stilts.train.heads import head_of
from stilts.train.model import Model


class RowsInUse(nn.Module):
    """The input embedding of an encoder under training.

    In training mode it reads the trained rows only. In evaluation mode it reads all rows.

    Args:
        whole: the encoder's embedding [vocabulary, width], in fp32.
        rows: int64 [n], the ids that the training data has, in ascending order.

    Attributes:
        weight: the trained rows, [n, width].
    """

    def __init__(self, whole: nn.Embedding, rows: torch.Tensor) -> None:
        super().__init__()
        device = whole.weight.device
        self.weight = nn.Parameter(whole.weight.detach()[rows.to(device)])
        # In a list, so that its matrix is no parameter of the model; on the host, because training does not read it.
        self._whole = [whole.cpu()]
        self._rows = rows
        self._index = torch.full((whole.num_embeddings,), -1, dtype=torch.long)
        self._index[rows] = torch.arange(len(rows))
        self._index = self._index.to(device)
        pad = whole.padding_idx
        self._pad = None if pad is None or self._index[pad] < 0 else int(self._index[pad])
        self._others: torch.Tensor | None = None
        self._decay = 1.0

    def decay(self, factor: float) -> None:
        """Set what weight decay has multiplied the other rows by until now."""
        if factor != self._decay:
            self._decay, self._others = factor, None

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids of tokens, int64 [...], to their vectors [..., width]."""
        place = self._index[ids]
        if self.training:
            return F.embedding(place, self.weight, self._pad)
        if self._others is None:
            others = self._whole[0].weight.detach() * self._decay
            self._others = others.to(self.weight.dtype).to(self.weight.device)
        trained = F.embedding(place.clamp(min=0), self.weight)
        return torch.where((place >= 0)[..., None], trained, F.embedding(ids, self._others))

    def restored(self) -> nn.Embedding:
        """The whole embedding in fp32, with the trained rows and the decayed other ones."""
        whole = self._whole[0].to(self.weight.device)
        with torch.no_grad():
            whole.weight.mul_(self._decay)
            whole.weight[self._rows.to(self.weight.device)] = self.weight.float()
        return whole


def use_rows(model: Model, ids: Iterable[np.ndarray]) -> RowsInUse | None:
    """Replace the model's input embedding for a stage, unless one of its heads reads it or it is not trained.

    Args:
        ids: the token ids of each part of the stage's training data.
    """
    if any(head_of(spec.family).reads_embeddings for spec in model.specs.values()):
        return None
    whole = model.encoder.get_input_embeddings()
    if not whole.weight.requires_grad:
        return None
    used = np.unique(np.concatenate([*map(np.unique, ids), [model.config.pad_token_id]]))
    rows = RowsInUse(whole, torch.from_numpy(used.astype(np.int64)))
    _replace(model.encoder, whole, rows)
    return rows


def restore_rows(model: Model, rows: RowsInUse) -> None:
    """Put the whole embedding back into the model."""
    _replace(model.encoder, rows, rows.restored())


def decay_factor(rates: Sequence[float], weight_decay: float) -> float:
    """What AdamW multiplies a weight without a gradient by in steps of these learning rates."""
    return float(np.prod(1.0 - np.asarray(rates, dtype=np.float64) * weight_decay))


def _replace(module: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if child is old:
                setattr(parent, name, new)
