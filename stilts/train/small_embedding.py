"""Embeddings of one or two rows, such as those of token types, without a lookup."""

import torch
from torch import nn


class SmallEmbedding(nn.Module):
    """An embedding of one or two rows.

    The vectors are those of `nn.Embedding`, bit for bit. The gradient of a row is a sum over the tokens that have it.
    `nn.Embedding` adds thousands of gradients to the same row, one after the other or, on a GPU, after sorting them.
    """

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.weight = embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids, int64 [...], to their vectors [..., width]."""
        first = self.weight[0].expand(*ids.shape, -1)
        return first if len(self.weight) == 1 else torch.where((ids == 0)[..., None], first, self.weight[1])


def replace_small_embeddings(encoder: nn.Module) -> None:
    """Replace the encoder's embeddings of one or two rows; the names of its parameters stay the same."""
    for parent in list(encoder.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Embedding) and child.num_embeddings <= 2 and child.padding_idx is None:
                setattr(parent, name, SmallEmbedding(child))
