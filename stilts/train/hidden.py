"""The hidden states of one layer of an encoder, without running the layers above it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Run = Callable[..., Any]
"""`run(**options)` runs the encoder on a batch; the options are added to the arguments of its forward pass."""


class _Reached(Exception):
    """Ends a forward pass at the module that reads the wanted hidden states."""

    def __init__(self, states: torch.Tensor) -> None:
        self.states = states


@dataclass(frozen=True)
class _Reader:
    """The first call in a forward pass that takes the hidden states of a layer as an argument.

    Attributes:
        call: number of this call among the calls of the module, from 1; more than 1 where layers share a module.
        argument: position or name of the argument.
        transposed: whether the argument is [width, rows, hidden] instead of [rows, width, hidden].
    """

    module: nn.Module
    call: int
    argument: int | str
    transposed: bool

    def states(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        found: torch.Tensor = args[self.argument] if isinstance(self.argument, int) else kwargs[self.argument]
        return found.transpose(0, 1) if self.transposed else found


class LayerStates:
    """Returns the hidden states of a layer. A forward pass ends where they are complete.

    Where an encoder passes on the states of a layer is found once per layer, without knowledge of the architecture: the
    first batch is run with all hidden states, and once more until a module takes an argument that is equal to those
    that are wanted. If no module does, every pass runs all layers.
    """

    def __init__(self, encoder: nn.Module) -> None:
        self._encoder = encoder
        self._readers: dict[int, _Reader | None] = {}

    def __call__(self, layer: int, depth: int, run: Run) -> torch.Tensor:
        """Return the hidden states [rows, width, hidden] of a layer; 0 is the output of the embeddings.

        Args:
            depth: number of layers of the encoder.
        """
        if layer == depth:
            states: torch.Tensor = run().last_hidden_state
            return states
        if layer not in self._readers:
            return self._find(layer, run)
        reader = self._readers[layer]
        return _all_states(layer, run) if reader is None else _stopped(reader, layer, run)

    def _find(self, layer: int, run: Run) -> torch.Tensor:
        wanted = _all_states(layer, run)
        # DeepSpeed fetches the parameters of the layers ahead while it runs one, and cannot stop between them.
        self._readers[layer] = None if is_partitioned(self._encoder) else _reader_of(self._encoder, wanted, run)
        return wanted


def is_partitioned(module: nn.Module) -> bool:
    """Whether DeepSpeed divides the parameters over the ranks and gathers them in each forward pass (ZeRO 3)."""
    return any(hasattr(parameter, "ds_id") for parameter in module.parameters())


def _all_states(layer: int, run: Run) -> torch.Tensor:
    states: torch.Tensor = run(output_hidden_states=True).hidden_states[layer]
    return states


def _stopped(reader: _Reader, layer: int, run: Run) -> torch.Tensor:
    calls = 0

    def stop(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal calls
        calls += 1
        if calls == reader.call:
            raise _Reached(reader.states(args, kwargs))

    hook = reader.module.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        run()
    except _Reached as reached:
        return reached.states
    finally:
        hook.remove()
    return _all_states(layer, run)


def _reader_of(encoder: nn.Module, wanted: torch.Tensor, run: Run) -> _Reader | None:
    calls: Counter[nn.Module] = Counter()
    found: _Reader | None = None

    def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal found
        calls[module] += 1
        given: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
        for argument, value in given:
            if isinstance(value, torch.Tensor) and value.dtype == wanted.dtype and value.ndim == wanted.ndim:
                for transposed in (False, True):
                    if torch.equal(value.transpose(0, 1) if transposed else value, wanted):
                        found = _Reader(module, calls[module], argument, transposed)
                        raise _Reached(value)

    with _hooks(encoder, look):
        try:
            run()
        except _Reached:
            return found
    return None


@contextmanager
def _hooks(encoder: nn.Module, look: Callable[..., None]) -> Iterator[None]:
    hooks = [module.register_forward_pre_hook(look, with_kwargs=True) for module in encoder.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
