"""The token budget of a stage's micro-batches where `runtime.tokens_per_micro_batch` is auto.

It is estimated from the free memory once the weights and the optimizer are there, and corrected once by what the first
steps took. All ranks of a trial have the same budget: the smallest of theirs.
"""

from pathlib import Path

import psutil
import torch

from stilts.encoders.sizes import shape
from stilts.experiment.runtime import Runtime
from stilts.plan.cost.memory import activation_bytes, machine_memory, rank_share, token_budget, usable_cores
from stilts.train.model import Model
from stilts.train.ranks import Ranks

FIRST_STEPS = 3
"""Steps of an attempt after which the estimate is corrected."""
TOLD = 8
"""The first steps tell the bytes of a token if a micro-batch had at least the budget's part by this number of tokens:
of less, the memory that does not depend on the number of tokens is too large a part."""
USABLE_GPU = 0.9
"""Share of a GPU's free memory that activations may take; the allocator loses the rest in fragments."""


class TokenBudget:
    """Estimates the token budget, and measures what a token takes.

    Args:
        model: under training, on the device, with the state of its optimizer.
        precision: of the stage's arithmetic.
    """

    def __init__(self, model: Model, runtime: Runtime, ranks: Ranks, precision: str) -> None:
        self._runtime, self._ranks = runtime, ranks
        self._gpu = ranks.device.type == "cuda"
        self._free = self._free_bytes()
        self._before = self._held()
        self._token = activation_bytes(shape(model.config.to_dict()), runtime, precision)
        _forget_peak(ranks.device)

    def estimate(self, earlier: int | None) -> int:
        """The budget to begin with (collective).

        Args:
            earlier: that of the attempt that this one resumes; it is kept if it still fits, so that the random numbers
                of dropout stay the same.
        """
        if self._runtime.tokens_per_micro_batch != "auto":
            return self._runtime.tokens_per_micro_batch
        fits = self._agreed(self._token)
        return fits if earlier is None else min(earlier, fits)

    def corrected(self, budget: int, largest: int) -> int:
        """The budget after FIRST_STEPS steps (collective).

        Args:
            largest: padded tokens of the largest micro-batch of this rank until now.
        """
        if self._runtime.tokens_per_micro_batch != "auto":
            return budget
        told = largest * TOLD >= budget
        measured = max(self._ranks.gather((_peak(self._ranks.device) - self._before) / largest if told else 0.0))
        return self._agreed(measured) if measured > 0 else budget

    def _agreed(self, token: float) -> int:
        return min(self._ranks.gather(token_budget(self._free, token, gpu=self._gpu)))

    def _free_bytes(self) -> float:
        if self._gpu:
            device = self._ranks.device
            cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            return USABLE_GPU * (torch.cuda.mem_get_info(device)[0] + cached)
        own = psutil.Process().memory_info().rss
        return rank_share(self._runtime, machine_memory(), usable_cores()) - own

    def _held(self) -> float:
        if self._gpu:
            return float(torch.cuda.memory_allocated(self._ranks.device))
        return float(psutil.Process().memory_info().rss)


def _forget_peak(device: torch.device) -> None:
    """Let `_peak` begin anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # `_peak` may then be that of an earlier stage: too high rather than too low


def _peak(device: torch.device) -> float:
    """Most bytes that this process has held on the device; 0 where the system does not tell."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0.0)
