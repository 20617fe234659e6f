"""A trace of every attempt at a stage: the ranks record each step and phase, with the time, in one file.

The ranks run the usual stage function. Each appends a line to the file when it enters the function, whenever it reports
progress (at every step instead of once a second), and when it leaves. Appending a line is atomic. A rank that is killed
writes no last line.

Times are those of the monotonic clock, which all processes of a machine share, whatever their wall clocks say. Leases
are shorter than usual, so that a pause of some seconds is enough to lose one.
"""

import itertools
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

FILE = "STILTS_CHAOS_TRACE"
"""Environment variable with the path of the file."""
LEASE_SECONDS, RENEW_SECONDS = 12.0, 2.0


def shorten_leases() -> None:
    """Shorten the leases of this process."""
    from stilts.storage import lease

    lease.LEASE_SECONDS, lease.RENEW_SECONDS = LEASE_SECONDS, RENEW_SECONDS


def run_stage(job: Any, ranks: Any, report: Callable[[dict[str, Any]], None]) -> None:
    """Run `stilts.run.stage.stage.run_stage` and trace it."""
    from stilts.run.stage import stage
    from stilts.train import loop

    loop.REPORT_SECONDS = 0.0
    shorten_leases()
    identity = {"attempt": uuid.uuid4().hex[:8], "store": job.store, "stage": job.name}
    identity |= {"pid": os.getpid(), "rank": ranks.rank}
    trace = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(event: str, **facts: Any) -> None:
        os.write(trace, (json.dumps({"time": time.monotonic(), "event": event, **identity, **facts}) + "\n").encode())

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


class Trace:
    """The attempts at the stages of one store, from a trace that is still being written.

    Attributes:
        attempts: the leaders' attempts so far, in the order in which they began.
    """

    def __init__(self, path: Path, store: str) -> None:
        self._path, self._store = path, store
        self._offset = path.stat().st_size if path.exists() else 0
        self._found: dict[str, Attempt] = {}
        self._inside: dict[int, str] = {}
        self._stepping: set[str] = set()

    @property
    def attempts(self) -> list[Attempt]:
        return list(self._found.values())

    def training(self) -> list[int]:
        """Process ids of the ranks, leaders and others, that have made a step of the stage that they now run."""
        return sorted(pid for pid, stage in self._inside.items() if stage in self._stepping and psutil.pid_exists(pid))

    def update(self) -> list[dict[str, Any]]:
        """Read what was written since the last call; return the lines of this store."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            complete = file.read().rpartition(b"\n")[0]
        self._offset += len(complete) + bool(complete)
        lines = [json.loads(line) for line in complete.splitlines()]
        ours = [line for line in lines if line["store"] == self._store]
        for line in ours:
            _add(self._found, line)
            self._follow(line)
        return ours

    def _follow(self, line: dict[str, Any]) -> None:
        if line["event"] == "enter":
            self._inside[line["pid"]] = line["stage"]
        elif line["event"] == "leave":
            self._inside.pop(line["pid"], None)
        if line["rank"] == 0 and line["event"] == "report" and _trains(line):
            self._stepping.add(line["stage"])
        elif line["rank"] == 0:
            self._stepping.discard(line["stage"])


def read(path: Path) -> list[dict[str, Any]]:
    """All complete lines of a trace."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def attempts(lines: Iterable[dict[str, Any]], store: str) -> list[Attempt]:
    """The leaders' attempts at the stages of one store, in the order in which they began."""
    found: dict[str, Attempt] = {}
    for line in lines:
        if line["store"] == store:
            _add(found, line)
    return list(found.values())


def _add(found: dict[str, Attempt], line: dict[str, Any]) -> None:
    if line["rank"] != 0:
        return
    when = line["time"]
    attempt = found.setdefault(line["attempt"], Attempt(line["attempt"], line["stage"], line["pid"], when, when))
    attempt.last = when
    if line["event"] == "report" and _trains(line):
        attempt.steps.append((when, line["step"]))
    elif line["event"] == "report":
        attempt.phases.append((when, line["phase"]))
    elif line["event"] == "leave":
        attempt.ended, attempt.error = True, line.get("error", "")


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


def twice(found: Iterable[Attempt]) -> list[str]:
    """Messages about stages that more than one attempt has trained to completion."""
    complete = Counter(attempt.stage for attempt in found if attempt.steps and attempt.ended and not attempt.error)
    return [f"{stage}: trained to completion {count} times" for stage, count in complete.items() if count > 1]
