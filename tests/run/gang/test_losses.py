"""The cause of a loss, from the errors that Ray raises. Without Ray's processes."""

import errno

import pytest
from ray.core.generated.common_pb2 import ActorDiedErrorContext
from ray.exceptions import (
    ActorDiedError,
    NodeDiedError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayTaskError,
)

from stilts.run.gang.losses import brief, cause_of
from stilts.schedule.causes import CAUSES, Cause

KILLED = """1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 10.0.0.7, ID: abc) \
was 15.20GB used / 16.00GB limit (0.950000)
PID\tMEM(GB)\tCOMMAND
31\t9.10\tray::Rank
77\t3.00\tpython other.py
"""


def died(message: str) -> ActorDiedError:
    """The error of an actor whose process ended, with the reason that Ray knows."""
    return ActorDiedError(ActorDiedErrorContext(class_name="Rank", actor_id=bytes(16), pid=31, error_message=message))


def raised_by_a_task(error: Exception) -> RayTaskError:
    """An error of a task as Ray hands it to the caller."""
    return RayTaskError("step", f"Traceback ...\n{type(error).__name__}: {error}", error).as_instanceof_cause()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ObjectStoreFullError("the object store has no room for 31 MB"), "object store"),
        (RuntimeError("Failed to put object: the local object store is full"), "object store"),
        (OutOfDiskError("Local disk is full"), "disk"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (OutOfMemoryError(KILLED), "memory"),
        (died(KILLED), "memory"),
        (NodeDiedError("the node died"), "node"),
        (died("The worker process ended with exit code 1."), "process"),
    ],
)
def test_the_cause_is_the_same_from_an_actor_and_from_its_task(error: Exception, cause: Cause) -> None:
    assert cause_of(error) == cause
    assert cause_of(raised_by_a_task(error)) == cause


@pytest.mark.parametrize("cause", ["object store", "disk", "memory"])
def test_a_full_resource_is_tried_again_after_a_pause_and_says_what_to_do(cause: Cause) -> None:
    rule = CAUSES[cause]
    assert rule.pause >= 10
    assert rule.most >= 3
    assert "full" in rule.what or "memory" in rule.what
    assert rule.remedy


def test_a_kill_for_memory_names_the_largest_processes_in_one_line() -> None:
    line = brief(OutOfMemoryError(KILLED))
    assert "10.0.0.7" in line
    assert "ray::Rank (process 31) 9.10 GB" in line
    assert "python other.py (process 77) 3.00 GB" in line
    assert "\n" not in line


def test_a_line_holds_no_secret_and_has_a_bounded_length() -> None:
    line = brief(RuntimeError("token hf_" + "a1B2" * 9 + " " + "word " * 2000))
    assert "a1B2" not in line
    assert "[secret]" in line
    assert len(line) < 300
