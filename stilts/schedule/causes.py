"""Causes: why an attempt at a stage was lost although the program made no error, and how often it is repeated.

`CAUSES` is the only table of these bounds, messages and remedies. docs/troubleshooting.md describes them for users. An
attempt that ended for one of these causes is repeated from the last resume state until its bound is exceeded; then the
stage fails. An error of the program, and a loss that became NaN, are not in the table: they end a stage at once.
"""

import math
from dataclasses import dataclass
from typing import Literal

Cause = Literal[
    "process",
    "node",
    "preemption",
    "stop",
    "lease",
    "store",
    "network",
    "memory",
    "object store",
    "disk",
    "read-only",
    "gpu",
    "stalled",
]


@dataclass(frozen=True)
class Rule:
    """What happens after a loss.

    Attributes:
        most: largest number of such losses of one stage in one run; infinite if there is no bound. The bound of
            `process` is `runtime.max_retries` instead.
        event: word for the loss in the lines of a run, of at most 9 letters.
        what: the loss as the beginning of a sentence that continues with a number, such as `its node was lost`.
        remedy: what a person can do if it happens again and again; empty if nothing.
        pause: seconds before the first retry, which double with each further loss up to `LONGEST_PAUSE`. What lasts for
            minutes, such as a node that has too little memory, would otherwise use up all retries in seconds.
    """

    most: float
    event: str
    what: str
    remedy: str = ""
    pause: float = 0.0


LONGEST_PAUSE = 300.0

CAUSES: dict[Cause, Rule] = {
    "process": Rule(3, "lost", "one of its processes was lost", "see what ended it, or raise runtime.max_retries"),
    "node": Rule(10, "lost", "one of its nodes was lost", "look whether the stage crashes its machines"),
    "preemption": Rule(math.inf, "preempted", "one of its nodes was preempted"),
    "stop": Rule(math.inf, "stopped", "it was stopped"),
    "lease": Rule(
        20,
        "taken",
        "another attempt took over its lease",
        "see what paused the machine of this driver or cut it off from the store",
    ),
    "store": Rule(20, "waits", "the store could not be reached", "check the store with `stilts doctor`"),
    "network": Rule(
        5,
        "lost",
        "the connection between its ranks broke",
        "check the network between the nodes, or use runtime.ranks: 1",
    ),
    "memory": Rule(
        5,
        "memory",
        "Ray killed one of its processes because the node had too little memory",
        "lower runtime.tokens_per_micro_batch (it changes no key), raise runtime.memory_per_rank or lower "
        "runtime.max_parallel so that fewer trials share a node, or end other programs there",
        pause=15.0,
    ),
    "object store": Rule(
        3,
        "memory",
        "the object store of Ray on its node was full",
        "start Ray with a larger --object-store-memory, or end other programs that use this Ray cluster",
        pause=15.0,
    ),
    "disk": Rule(
        3, "disk", "the disk of its node was full", "free some space on the node, or use another TMPDIR", pause=15.0
    ),
    "read-only": Rule(
        3,
        "refused",
        "the store or a disk could not be written",
        "give this user the permission to write there",
        pause=15.0,
    ),
    "gpu": Rule(3, "lost", "its GPU failed", "check the GPU with nvidia-smi, and take its node out of the cluster"),
    "stalled": Rule(
        3, "stalled", "it made no progress for too long", "see what it waits for, or raise runtime.stall_seconds"
    ),
}
"""What happens after a loss, by cause."""


def bound(cause: Cause, max_retries: int) -> float:
    """Largest number of losses of one stage in one run for this cause."""
    return max_retries if cause == "process" else CAUSES[cause].most


def pause(cause: Cause, times: int) -> float:
    """Seconds between a loss and the retry."""
    return min(LONGEST_PAUSE, CAUSES[cause].pause * 2.0 ** (times - 1))


def final_message(cause: Cause, times: int, reason: str) -> str:
    """Why a stage failed that was lost too often: one line that ends with what to do."""
    rule = CAUSES[cause]
    counted = "once" if times == 1 else f"{times} times"
    return "; ".join(filter(None, (f"{rule.what} {counted}, the last time: {reason}", rule.remedy)))


def again(cause: Cause, times: int, max_retries: int) -> str:
    """What follows a loss, such as `retry 2 of 3`."""
    most = bound(cause, max_retries)
    if cause == "stop":
        return "continues with the next run"
    if math.isinf(most):
        return "continues"
    seconds = pause(cause, times)
    return f"retry {times} of {most:.0f}" + (f" in {seconds:.0f} s" if seconds else "")
