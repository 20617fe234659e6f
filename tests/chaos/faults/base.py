"""What the kinds of faults share."""

import time
from collections.abc import Callable

from tests.chaos.scene import Scene

Fault = Callable[[Scene], str | None]
"""Injects a fault; returns a description of its target, or None if there was no target."""


def after(seconds: float) -> Callable[[], bool]:
    """A condition that holds from some seconds from now on."""
    due = time.monotonic() + seconds
    return lambda: time.monotonic() > due
