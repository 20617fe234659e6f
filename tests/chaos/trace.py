"""A trace of every attempt at a stage: the ranks record each step and phase, with the time, in one file.

The ranks run the usual stage function. Each appends a line to the file when it enters the function, whenever it reports
progress (at every step instead of once a second), and when it leaves. Appending a line is atomic. A rank that is killed
writes no last line.

Leases are shorter than usual, so that a pause of some seconds is enough to lose one.
"""

import itertools
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "STILTS_CHAOS_TRACE"
"""Environment variable with the path of the file."""
LEASE_SECONDS, RENEW_SECONDS = 12.0, 2.0


def run_stage(job: Any, ranks: Any, report: Callable[[dict[str, Any]], None]) -> None:
    """Run `stilts.run.stage.stage.run_stage` and trace it."""
    from stilts.run.stage import stage
    from stilts.storage import lease
    from stilts.train import loop

    loop.REPORT_SECONDS = 0.0
    lease.LEASE_SECONDS, lease.RENEW_SECONDS = LEASE_SECONDS, RENEW_SECONDS
    identity = {"attempt": uuid.uuid4().hex[:8], "store": job.store, "stage": job.name}
    identity |= {"pid": os.getpid(), "rank": ranks.rank}
    trace = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(event: str, **facts: Any) -> None:
        os.write(trace, (json.dumps({"time": time.time(), "event": event, **identity, **facts}) + "\n").encode())

    def reported(progress: dict[str, Any]) -> None:
        note("report", step=progress.get("step"), phase=progress.get("phase"))
        report(progress)

    note("enter")
    try:
        stage.run_stage(job, ranks, reported)
    except BaseException as error:
        note("leave", error=f"{type(error).__name__}: {error}"[:300])
        raise
    else:
        note("leave")
    finally:
        os.close(trace)


@dataclass
class Attempt:
    """One call of the stage function in the leader's process.

    Attributes:
        begin: time of its first line.
        last: time of its last line.
        steps: (time, step) of each optimizer step.
        phases: (time, phase) of each other report.
        ended: whether the call returned or raised an exception; otherwise the process was killed.
        error: the exception that it raised; empty if there was none.
    """

    identity: str
    stage: str
    pid: int
    begin: float
    last: float
    steps: list[tuple[float, int]] = field(default_factory=list)
    phases: list[tuple[float, str]] = field(default_factory=list)
    ended: bool = False
    error: str = ""


def read(path: Path) -> list[dict[str, Any]]:
    """All complete lines of a trace."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def attempts(lines: Iterable[dict[str, Any]], store: str) -> list[Attempt]:
    """The leaders' attempts at the stages of one store, in the order in which they began."""
    found: dict[str, Attempt] = {}
    for line in lines:
        if line["store"] != store or line["rank"] != 0:
            continue
        when = line["time"]
        attempt = found.setdefault(line["attempt"], Attempt(line["attempt"], line["stage"], line["pid"], when, when))
        attempt.last = when
        if line["event"] == "report" and _trains(line):
            attempt.steps.append((when, line["step"]))
        elif line["event"] == "report":
            attempt.phases.append((when, line["phase"]))
        elif line["event"] == "leave":
            attempt.ended, attempt.error = True, line.get("error", "")
    return list(found.values())


def _trains(line: dict[str, Any]) -> bool:
    """Whether a report is about training. Reports of evaluations have step numbers, too, but also a phase."""
    return line["step"] is not None and not (line["phase"] or "").startswith("evaluating")


def overlaps(found: Iterable[Attempt]) -> list[str]:
    """Messages about attempts that made a training step after a later attempt at the same stage had made one."""
    by_stage: dict[str, list[Attempt]] = {}
    for attempt in found:
        if attempt.steps:
            by_stage.setdefault(attempt.stage, []).append(attempt)
    said = []
    for stage, some in by_stage.items():
        some.sort(key=lambda attempt: attempt.steps[0])
        for earlier, later in itertools.combinations(some, 2):
            over = [step for when, step in earlier.steps if when > later.steps[0][0]]
            if over:
                said.append(f"{stage}: process {earlier.pid} made steps {over} after process {later.pid} had begun")
    return said
