"""The cost of each kind of fault, from the log and the trace: the training that was repeated, and the recovery time.

Both are measured for each attempt at a stage that a fault has ended. The recovery time is counted from the beginning of
the fault, so that it contains the time for which a store, disk, database or cluster was unusable.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.chaos import trace
from tests.chaos.trace import Attempt

_SOON_SECONDS = 1.0


@dataclass
class Cost:
    """The cost of all faults of one kind.

    Attributes:
        count: number of faults.
        ended: number of attempts at stages that they ended.
        redone: seconds of training that were repeated, one entry per ended attempt.
        recovery: seconds from the fault until the stage passed the step at which it was, one entry per ended attempt.
    """

    count: int = 0
    ended: int = 0
    redone: list[float] = field(default_factory=list)
    recovery: list[float] = field(default_factory=list)


def costs(log: Sequence[dict[str, Any]], lines: Iterable[dict[str, Any]]) -> dict[str, Cost]:
    """Costs by kind of fault."""
    found: dict[str, Cost] = defaultdict(Cost)
    stores = {line["bout"]: line["store"] for line in log if line["event"] == "begin"}
    lines = list(lines)
    for bout, store in stores.items():
        attempts = trace.attempts(lines, store)
        mine = [line for line in log if line["bout"] == bout]
        faults = [line for line in mine if line["event"] == "fault"]
        deaths = {line["attempt"]: line["time"] for line in mine if line["event"] == "death"}
        for fault in faults:
            found[fault["kind"]].count += 1
        for attempt in attempts:
            fault = _cause(attempt, faults, deaths)
            if fault is not None:
                _count(found[fault["kind"]], attempt, fault["time"], attempts)
    return dict(found)


def _cause(attempt: Attempt, faults: list[dict[str, Any]], deaths: dict[str, float]) -> dict[str, Any] | None:
    """The fault that ended an attempt: the last one during the attempt, before its end. None if no fault ended it."""
    if attempt.ended and not attempt.error:
        return None
    end = attempt.last if attempt.ended else deaths.get(attempt.identity, attempt.last)
    before = [f for f in faults if attempt.identity in f["during"] and f["time"] <= end + _SOON_SECONDS]
    return before[-1] if before else None


def _count(cost: Cost, attempt: Attempt, when: float, attempts: list[Attempt]) -> None:
    cost.ended += 1
    reached = max((step for _, step in attempt.steps), default=0)
    heirs = [
        a for a in attempts if a.stage == attempt.stage and a.begin > attempt.begin and a.identity != attempt.identity
    ]
    steps = [(time, step) for heir in heirs for time, step in heir.steps]
    beyond = [time for time, step in steps if step > reached]
    phases = [time for heir in heirs for time, _ in heir.phases]
    if steps and reached:
        resumed = next(heir.steps for heir in heirs if heir.steps)
        again = max(0, reached - resumed[0][1] + 1)
        each = (resumed[-1][0] - resumed[0][0]) / max(1, len(resumed) - 1)
        cost.redone.append(again * each)
    if beyond or phases:
        cost.recovery.append(min(beyond or phases) - when)


def report_text(log: Sequence[dict[str, Any]], lines: Iterable[dict[str, Any]]) -> str:
    """The report as Markdown."""
    found = costs(log, lines)
    ends = [line for line in log if line["event"] == "end"]
    seconds = {line["bout"]: line["seconds"] for line in ends}
    rows = ["| kind | faults | attempts ended | work repeated, s: median / max | recovery time, s: median / max |"]
    rows.append("|---|---:|---:|---:|---:|")
    for kind, cost in sorted(found.items()):
        rows.append(f"| {kind} | {cost.count} | {cost.ended} | {_spread(cost.redone)} | {_spread(cost.recovery)} |")
    redone = sum(sum(cost.redone) for cost in found.values())
    total = sum(cost.count for cost in found.values())
    rows += ["", f"{total} faults, {redone:.1f} s of work repeated: {redone / max(total, 1):.2f} s a fault", ""]
    disturbed = {name for name in seconds if any(x["event"] == "fault" and x["bout"] == name for x in log)}
    for name, took in seconds.items():
        rows.append(f"- {name}: {took:.0f} s, {'disturbed' if name in disturbed else 'undisturbed'}")
    problems = [f"{line['bout']}: {problem}" for line in ends for problem in line["problems"]]
    rows += ["", *(problems or ["no problems"])]
    return "\n".join(rows)


def _spread(values: list[float]) -> str:
    return f"{median(values):.1f} / {max(values):.1f}" if values else "-"


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log. If a bout was started several times, only the lines of its last start are included."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    begun = {line["bout"]: number for number, line in enumerate(lines) if line["event"] == "begin"}
    return [line for number, line in enumerate(lines) if number >= begun[line["bout"]]]
