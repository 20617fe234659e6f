"""Losses: find in an error of Ray why an actor or a run was lost, and describe it in one line."""

import re
import textwrap

from ray.exceptions import (
    NodeDiedError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
)

from stilts.experiment.secrets import redact
from stilts.os_errors import is_full
from stilts.schedule.causes import Cause

_CLASSES: tuple[tuple[type[BaseException], Cause], ...] = (
    (OutOfMemoryError, "memory"),
    (ObjectStoreFullError, "object store"),
    (OutOfDiskError, "disk"),
    (NodeDiedError, "node"),
)
_TEXTS: tuple[tuple[str, Cause], ...] = (
    (r"node running low on memory|OutOfMemoryError", "memory"),
    (r"ObjectStoreFullError|object store is full", "object store"),
    (r"OutOfDiskError", "disk"),
)
"""Texts of errors in which Ray wraps the reason."""
_REASON_CHARACTERS = 240
_LARGEST = 3
"""How many of the largest processes the message names when a node has too little memory."""


def cause_of(error: BaseException) -> Cause:
    """The cause of a loss, from an error of Ray. It is `process` if the error does not say more."""
    error = _inner(error)
    for kind, cause in _CLASSES:
        if isinstance(error, kind):
            return cause
    if is_full(error):
        return "disk"
    return next((cause for text, cause in _TEXTS if re.search(text, str(error))), "process")


def _inner(error: BaseException) -> BaseException:
    """Return the error that a task raised; Ray wraps it in a RayTaskError."""
    inner = error.cause if isinstance(error, RayTaskError) else None
    return inner if isinstance(inner, BaseException) else error


def brief(error: BaseException) -> str:
    """Return the line of a Ray error that says what happened, without secrets. The whole message can be pages long."""
    error = _inner(error)
    if memory := _memory(str(error)):
        return redact(memory)
    # The message of an actor's death: a general line, indented facts about the actor, and the reason.
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("\t")]
    reason = lines[1:2] if isinstance(error, RayActorError) and len(lines) > 1 else lines[:1]
    return f"{type(error).__name__}: {shortened(' '.join(reason))}"


def shortened(text: str) -> str:
    """Shorten a reason to one line of bounded length and remove secrets from it."""
    return textwrap.shorten(redact(text), _REASON_CHARACTERS, placeholder=" ...")


def _memory(text: str) -> str | None:
    """What Ray says when it kills a process for the memory of its node, in one line; None if it says no such thing.

    Ray lists the largest processes as lines `PID<tab>GB<tab>COMMAND`.
    """
    found = re.search(r"Memory on the node \(IP: ([^,)]+).*?was ([\d.]+)\s?GB used / ([\d.]+)\s?GB", text)
    if found is None:
        return None
    node, used, total = found.groups()
    largest = re.findall(r"^(\d+)\t([\d.]+)\t(.+)$", text, re.MULTILINE)[:_LARGEST]
    named = "; ".join(
        f"{textwrap.shorten(command, 80, placeholder=' ...')} (process {pid}) {memory} GB"
        for pid, memory, command in largest
    )
    shown = f"; the largest: {named}" if named else ""
    return f"Ray killed it because {used} of {total} GB of memory on node {node} were used{shown}"
