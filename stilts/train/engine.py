"""Engine: what the training loop needs of a model under training. There are two (`engine_choice.py`).

`FlatEngine` (`flat.py`) trains on one rank, where there is nothing to shard. `DeepSpeedEngine` (`deepspeed.py`) shards
the state of the optimizer, the gradients or the weights over the ranks of a gang. Both update fp32 master weights with
AdamW, accumulate and clip gradients in fp32, and give the same weights up to fp32 rounding.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Protocol

import torch

from stilts.train.batch import Batch

Fetch = Callable[[str, torch.Size], torch.Tensor]
"""Returns the unsharded tensor with a name and a shape, on the engine's device."""


class Engine(Protocol):
    """A model under training, with its gradients and its optimizer. All methods but `__call__` are collective.

    Attributes:
        gradient_norm: norm of the last step's gradient before clipping, a scalar on the device; 0 before the first
            step.
    """

    gradient_norm: torch.Tensor

    def train(self) -> Any:
        """Switch the model to training mode (dropout)."""

    def eval(self) -> Any:
        """Switch the model to evaluation mode."""

    def __call__(self, batch: Batch) -> torch.Tensor:
        """Return the fp32 sum of the losses of a micro-batch."""

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of a loss to that of the step."""

    def forget_gradient(self) -> None:
        """Set the gradient to zero, to begin a step anew. Not under ZeRO 2 and 3, which reduce it in each backward."""

    def step(self, rate: float, parts: Collection[str]) -> None:
        """Clip the gradient, run one optimizer step, and set the gradient to zero.

        Args:
            rate: learning rate.
            parts: names of the heads and language adapters that are updated together with the rest of the encoder.
        """

    def weights(self) -> dict[str, torch.Tensor]:
        """Copies of the unsharded fp32 master weights on every rank, by parameter name.

        They are on the device if its memory allows, else in the memory of the host.
        """

    def state(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the unsharded fp32 weight and both moments of every parameter, on the device.

        The next step changes them: whoever needs them later copies each before taking the next.

        The names are `weight.NAME`, `exp_avg.NAME` and `exp_avg_sq.NAME`. They depend neither on the number of ranks
        nor on the engine. Step counts are not included, because they follow from the step schedule.
        """

    def restore(self, fetch: Fetch, steps: Mapping[str | None, int]) -> None:
        """Load weights, moments and step counts.

        Args:
            steps: number of optimizer steps that have updated each head and each language adapter, by name; under None,
                the number of all steps, each of which has updated the rest of the encoder.
        """

    def release(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Destroy the engine and turn its model back into a plain one with these weights and without gradients."""

    def destroy(self) -> None:
        """Free the memory of the engine. The model cannot be used any more."""
