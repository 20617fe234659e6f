"""Compilation of an encoder's layers with `torch.compile`, for training.

The layers of an encoder run the same code, so that one compilation for each shape of batch (`shapes.py`) serves all of
them, and all stages that a process trains. Embeddings and heads, whose inputs have other shapes in every step, are not
compiled, and evaluation is not either. Dropout draws the numbers that it draws without compilation, so that results
agree up to rounding.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from stilts.errors import StiltsError
from stilts.experiment.runtime import Runtime
from stilts.train.batch import Batch
from stilts.train.hidden import is_partitioned
from stilts.train.model import Model
from stilts.train.ranks import Ranks, deterministic

log = logging.getLogger(__name__)

COMPILATIONS = 256
"""How often a process compiles the code of a layer, for different shapes and encoders, before it runs it as it is."""


class Compilation:
    """Compiled layers of a model in training mode, from `start` to `stop`."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._layers = _layers(model.encoder, model.depth)

    def start(self) -> None:
        """Run compiled code wherever a layer is called in training mode. It is compiled when it is first called.

        Raises:
            StiltsError: DeepSpeed partitions the weights.
        """
        if is_partitioned(self._model):
            raise StiltsError("ZeRO 3 gathers their weights while they run")
        self.stop()
        torch._dynamo.config.suppress_errors = False
        torch._dynamo.config.recompile_limit = COMPILATIONS
        torch._dynamo.config.accumulated_recompile_limit = COMPILATIONS
        for layer in self._layers:
            layer.forward = _switch(layer)

    def warm_up(self, batches: Iterable[Batch], ranks: Ranks) -> None:
        """Compile the forward and the backward pass for the shapes of these batches. No gradient is accumulated."""
        self._model.train()
        read = next(parameter for parameter in self._model.encoder.parameters() if parameter.requires_grad)
        for batch in batches:
            states = self._model.encode(batch.to(ranks.device)).last_hidden_state
            with deterministic(ranks.device):
                torch.autograd.grad(states.float().sum(), read, allow_unused=True)
            ranks.heartbeat.beat()

    def stop(self) -> None:
        """Run the layers' own code again."""
        for layer in self._layers:
            vars(layer).pop("forward", None)


def compile_layers(compilation: Compilation, runtime: Runtime, ranks: Ranks, batches: Iterable[Batch]) -> bool:
    """Start the compilation if `runtime.compile` asks for it and it can be done on every rank (collective).

    Args:
        batches: a batch of each shape that occurs in training.

    Returns:
        Whether compiled code runs. If it cannot be made, the log says why.
    """
    if runtime.compile == "off" or (runtime.compile == "auto" and ranks.device.type != "cuda"):
        return False
    problem = ""
    try:
        compilation.start()
        compilation.warm_up(batches, ranks)
    except Exception as error:  # compilers, and what they call, raise errors of many types
        problem = str(error).strip().partition("\n")[0] or type(error).__name__
    problems = [found for found in ranks.gather(problem) if found]
    if problems:
        compilation.stop()
        log.warning("layers are not compiled, and run as they are: %s", problems[0])
        return False
    # A shape that occurs for the first time in the middle of the stage must not end it.
    torch._dynamo.config.suppress_errors = True
    return True


def _layers(encoder: nn.Module, depth: int) -> list[nn.Module]:
    """The modules in lists of one module for each layer of the encoder."""
    lists = (module for module in encoder.modules() if isinstance(module, nn.ModuleList))
    return [layer for found in lists if len(found) == depth for layer in found]


def _switch(layer: nn.Module) -> Callable[..., Any]:
    own = layer.forward
    compiled = torch.compile(own, dynamic=False, options={"fallback_random": True})

    def forward(*args: Any, **kwargs: Any) -> Any:
        return (compiled if layer.training else own)(*args, **kwargs)

    return forward
