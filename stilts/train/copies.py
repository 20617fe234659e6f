"""Copies of a model's tensors: on its device, or in the memory of the host, and a thread that writes them to a disk."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

RESERVE = 1 / 20
"""Share of a GPU's memory that stays free when weights are kept on it."""

Named = Iterable[tuple[str, torch.Tensor]]
"""Tensors by name. A consumer copies each of them before it takes the next."""


def keep(tensors: Named, size: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Copy tensors within their device if its memory allows, else to pinned memory of the host.

    Args:
        size: bytes of all tensors.
    """
    if device.type != "cuda" or has_room(device, size):
        return {name: value.clone() for name, value in tensors}
    return HostCopies().take(tensors)


def has_room(device: torch.device, size: int) -> bool:
    """Whether a GPU has so many bytes of memory that nobody has reserved, and some more."""
    free, total = torch.cuda.mem_get_info(device)
    return free >= size + RESERVE * total


class HostCopies:
    """Copies tensors to the host. The copies from a GPU are pinned, and `take` uses their memory again."""

    def __init__(self) -> None:
        self._pinned: dict[str, torch.Tensor] = {}

    def take(self, tensors: Named) -> dict[str, torch.Tensor]:
        """Return copies, which are complete. Those of an earlier call must not be in use any more."""
        found = {}
        for name, value in tensors:
            if value.device.type != "cuda":
                found[name] = value.clone()
                continue
            if name not in self._pinned:
                self._pinned[name] = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
            found[name] = self._pinned[name].copy_(value, non_blocking=True)
        if self._pinned:
            torch.cuda.current_stream().synchronize()
        return found


class BackgroundWrite:
    """Runs one write at a time in a thread. Its error is raised by the thread that started it."""

    def __init__(self) -> None:
        self._running: Future[None] | None = None

    def start(self, write: Callable[[], None]) -> None:
        """Begin a write. The one before must have been waited for."""
        thread = ThreadPoolExecutor(1, "resume-state")
        self._running = thread.submit(write)
        thread.shutdown(wait=False)

    def check(self) -> None:
        """Raise the error of a write that has failed; do not wait."""
        if self._running is not None and self._running.done():
            self.wait()

    def wait(self) -> None:
        """Wait for the write, and raise its error."""
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def end(self) -> None:
        """Wait for the write, whatever comes of it."""
        running, self._running = self._running, None
        if running is not None:
            running.exception()
