"""The engine of one rank: all weights in one flat buffer, all gradients in another, and torch's fused AdamW.

A step over hundreds of small tensors takes longer to launch than to compute. Here the parameters of the model and their
gradients are views of a few flat buffers, so that accumulation, norm, clipping, update and rounding are a handful of
operations for the whole model. None of them waits for the device: the norm, the clipping factor and the learning rate
are tensors on it.

Precision. The master weights are fp32. With `precision: fp32`, the parameters are views of them. With `precision:
bf16`, the parameters and their gradients are bf16; the gradient of each micro-batch is added to an fp32 sum, and after
each update the master weights are rounded to the parameters.

Weight decay. A parameter that has no gradient in a step counts as one with gradient 0: it decays, and its moments
shrink. Heads of other tasks are the exception (see `optimizer.py`).
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

from stilts.experiment.recipe import Recipe
from stilts.train.batch import Batch
from stilts.train.copies import keep
from stilts.train.engine import Fetch
from stilts.train.model import Model
from stilts.train.optimizer import BETAS, MOMENTS, HeadAdamW, parameter_groups
from stilts.train.precision import DTYPES

ALIGNMENT = 64
"""Every parameter begins at a multiple of this number of elements, as vectorised kernels read them. The elements
between two parameters are and stay 0."""


class FlatEngine:
    """A model under training on one rank; see `Engine`.

    Args:
        model: in fp32, on the device.
    """

    def __init__(self, model: Model, recipe: Recipe, device: torch.device) -> None:
        self.module = model
        self.gradient_norm = torch.zeros((), device=device)
        self._max_norm = recipe.max_grad_norm
        groups = parameter_groups(model, recipe.weight_decay)
        self._places, bounds = _layout(groups)
        size = bounds[-1][1]
        self._master = torch.zeros(size, device=device)
        self._gradient = torch.zeros(size, device=device)
        dtype = DTYPES[recipe.precision]
        rounded = dtype != torch.float32
        self._rounded = torch.zeros(size, dtype=dtype, device=device) if rounded else self._master
        self._partial = torch.zeros(size, dtype=dtype, device=device) if rounded else self._gradient
        self._frozen = {p: p.data for p in model.parameters() if p not in self._places}
        self._attach()
        self._optimizer = HeadAdamW(
            [
                {**group, "params": [_with_gradient(self._master[a:b], self._gradient[a:b])]}
                for group, (a, b) in zip(groups, bounds, strict=True)
            ],
            lr=torch.zeros((), device=device),
            betas=BETAS,
            eps=recipe.adam_epsilon,
            fused=True,
        )
        self._moments = {name: torch.zeros_like(self._master) for name in MOMENTS}
        for (flat,), (a, b) in zip(self._flat_parameters(), bounds, strict=True):
            moments = {name: value[a:b] for name, value in self._moments.items()}
            self._optimizer.state[flat] = {"step": torch.zeros((), device=device), **moments}

    def _attach(self) -> None:
        """Turn the model's parameters and their gradients into views of the flat buffers; round those not trained."""
        for parameter, begin in self._places.items():
            self._view(self._master, parameter, begin).copy_(parameter.data)
        self._rounded.copy_(self._master)
        for parameter, begin in self._places.items():
            parameter.data = self._view(self._rounded, parameter, begin)
            parameter.grad = self._view(self._partial, parameter, begin)
        self._round_frozen()

    def _round_frozen(self) -> None:
        for parameter, whole in self._frozen.items():
            parameter.data = whole.to(self._rounded.dtype)

    @staticmethod
    def _view(flat: torch.Tensor, parameter: torch.Tensor, begin: int) -> torch.Tensor:
        return flat[begin : begin + parameter.numel()].view(parameter.shape)

    def _flat_parameters(self) -> list[list[torch.Tensor]]:
        return [group["params"] for group in self._optimizer.param_groups]

    def train(self) -> Any:
        return self.module.train()

    def eval(self) -> Any:
        return self.module.eval()

    def __call__(self, batch: Batch) -> torch.Tensor:
        loss: torch.Tensor = self.module(batch)
        return loss

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()
        if self._partial is not self._gradient:
            self._gradient += self._partial
            self._partial.zero_()

    def forget_gradient(self) -> None:
        self._gradient.zero_()
        self._partial.zero_()

    @torch.no_grad()
    def step(self, rate: float, parts: Collection[str]) -> None:
        self._optimizer.select(rate, parts)
        self.gradient_norm = torch.linalg.vector_norm(self._gradient)
        if self._max_norm > 0:
            self._optimizer.grad_scale = ((self.gradient_norm + 1e-6) / self._max_norm).clamp_(min=1.0)
        self._optimizer.step()
        if self._rounded is not self._master:
            self._rounded.copy_(self._master)
        self._gradient.zero_()

    def _state(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Views of the fp32 state of every parameter. One that is not trained, as XLM's positions, has no moments."""
        for name, parameter in self.module.named_parameters():
            if parameter not in self._places:
                yield f"weight.{name}", self._frozen[parameter]
                continue
            for key, flat in {"weight": self._master, **self._moments}.items():
                yield f"{key}.{name}", self._view(flat, parameter, self._places[parameter])

    def weights(self) -> dict[str, torch.Tensor]:
        prefix = "weight."
        found = ((key.removeprefix(prefix), value) for key, value in self.state() if key.startswith(prefix))
        return keep(found, self._master.nbytes, self._master.device)

    def state(self) -> Iterator[tuple[str, torch.Tensor]]:
        for key, value in self._state():
            yield key, value.float()

    @torch.no_grad()
    def restore(self, fetch: Fetch, steps: Mapping[str | None, int]) -> None:
        for key, value in self._state():
            value.copy_(fetch(key, value.shape))
        self._rounded.copy_(self._master)
        self._round_frozen()
        for group in self._optimizer.param_groups:
            self._optimizer.state[group["params"][0]]["step"].fill_(steps[group["part"]])

    def release(self, weights: Mapping[str, torch.Tensor]) -> None:
        device = self._master.device
        self.destroy()
        for name, parameter in self.module.named_parameters():
            parameter.data = weights[name].to(device)

    def destroy(self) -> None:
        for parameter in self._places:
            parameter.grad = None
        for name in ("_optimizer", "_moments", "_frozen", "_master", "_gradient", "_rounded", "_partial"):
            delattr(self, name)


def _layout(groups: list[dict[str, Any]]) -> tuple[dict[torch.Tensor, int], list[tuple[int, int]]]:
    """The first element of each parameter, and the first and last element of each group, in one flat buffer."""
    places: dict[torch.Tensor, int] = {}
    bounds, end = [], 0
    for group in groups:
        begin = end
        for parameter in group["params"]:
            places[parameter] = end
            end += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
        bounds.append((begin, end))
    return places, bounds


def _with_gradient(weights: torch.Tensor, gradient: torch.Tensor) -> torch.nn.Parameter:
    parameter = torch.nn.Parameter(weights)
    parameter.grad = gradient
    return parameter
