"""Progress of a run: what the driver knows and other processes read. Independent of Ray and of a terminal."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stilts.errors import counted
from stilts.schedule.agenda import Agenda, Status

REPORTED = (
    "phase", "step", "steps", "loss", "tokens_per_second", "eta", "gpu_use", "gpu_memory", "gpu_memory_total"
)  # fmt: skip
"""Fields that the leading rank of a stage reports, if they are known. `eta`: seconds. `gpu_use`: percent,
the mean over its GPUs; `gpu_memory` and `gpu_memory_total`: bytes, of its fullest GPU."""

FAILURES = 5
"""How many of the stages that failed are named in the progress of a run."""

HOLDERS = 3
"""How many of the processes that train stages for other drivers are named."""

_OTHERS: tuple[Status, ...] = ("running", "waiting", "stopped", "failed", "diverged", "not run")


@dataclass(frozen=True)
class StageProgress:
    """A running stage.

    Attributes:
        seconds: duration of this attempt so far.
        latest: latest values of `REPORTED`.
    """

    name: str
    seconds: float
    latest: Mapping[str, Any]


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run.

    Attributes:
        seconds: since the run began.
        left: estimated seconds to its end; None if there is no estimate.
        counts: stages by status.
        running: the running stages, in the order in which they started.
        failures: stages that failed or diverged, as `diverged: REASON` by name; at most `FAILURES` of them.
        elsewhere: number of the waiting stages that another driver trains, by `host (process N)`.
    """

    seconds: float
    left: float | None
    counts: Mapping[str, int]
    running: tuple[StageProgress, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Mapping[str, int] = field(default_factory=dict)

    @property
    def stages(self) -> int:
        return sum(self.counts.values())


def progress_of(agenda: Agenda, seconds: float, running: tuple[StageProgress, ...]) -> RunProgress:
    """Return the progress of a run with this agenda."""
    left = remaining(agenda, len(running), {stage.name: stage.seconds for stage in running})
    return RunProgress(seconds, left, counts_of(agenda), running, _failures(agenda), elsewhere(agenda))


def elsewhere(agenda: Agenda) -> dict[str, int]:
    """Number of the waiting stages that another driver trains, by `host (process N)`."""
    waiting = (who for name, who in agenda.leased.items() if agenda.outcomes[name].status == "waiting")
    return dict(Counter(waiting).most_common())


def trained_by(counts: Mapping[str, int]) -> str:
    """`3 stages are trained by HOST (process N), 1 by OTHER (process M), 2 by others`; empty if there are none."""
    shown = list(counts.items())[:HOLDERS]
    rest = sum(counts.values()) - sum(number for _, number in shown)
    parts = [f"{number} by {who}" for who, number in shown[1:]] + ([f"{rest} by others"] if rest else [])
    if not shown:
        return ""
    who, number = shown[0]
    return ", ".join([f"{counted(number, 'stage')} {'is' if number == 1 else 'are'} trained by {who}", *parts])


def _failures(agenda: Agenda) -> dict[str, str]:
    ended = agenda.outcomes.items()
    said = {
        name: f"{outcome.status}: {outcome.message.partition(chr(10))[0]}"
        for name, outcome in ended
        if outcome.status in ("failed", "diverged")
    }
    return dict(list(said.items())[-FAILURES:])


def counts_of(agenda: Agenda) -> dict[str, int]:
    """Number of stages by status."""
    counts = Counter(outcome.status for outcome in agenda.outcomes.values())
    return {status: counts[status] for status in ("done", *_OTHERS)}


def remaining(agenda: Agenda, at_once: int, elapsed: Mapping[str, float]) -> float | None:
    """Estimate the seconds to the end of the run.

    The estimate is the larger one of two: the remaining work divided by the number of trials, and the longest remaining
    chain. The seconds per stage are scaled by what the finished stages have really taken. None before the first stage
    has finished, while stages may be added, and if every stage has exceeded its estimate.

    Args:
        at_once: number of running trials.
        elapsed: seconds that each running stage has taken so far.
    """
    done = [name for name, outcome in agenda.outcomes.items() if outcome.status == "done"]
    expected = sum(agenda.seconds[name] for name in done)
    if not expected or not at_once or agenda.open:
        return None
    scale = sum(agenda.outcomes[name].seconds for name in done) / expected
    work, longest = 0.0, 0.0
    for name, outcome in agenda.outcomes.items():
        if outcome.status in ("waiting", "running"):
            spent = elapsed.get(name, 0.0)
            work += max(0.0, scale * agenda.seconds[name] - spent)
            longest = max(longest, scale * agenda.chain[name] - spent)
    return max(work / at_once, longest) or None


def summary(counts: Mapping[str, int]) -> str:
    """Stages by status in words: `3 of 12 done, 2 running, 2 waiting, 1 failed, 4 not run`."""
    parts = [f"{counts.get('done', 0)} of {sum(counts.values())} done"]
    return ", ".join(parts + [f"{counts[status]} {status}" for status in _OTHERS if counts.get(status)])


def ended(agenda: Agenda) -> str:
    """How the stages ended so far: `3 of 12 done, 1 failed: NAME: reason, 2 diverged: NAME: reason and 1 more`."""
    counts = counts_of(agenda)
    parts = [f"{counts['done']} of {len(agenda.outcomes)} done"]
    for status in ("failed", "diverged"):
        if counts[status]:
            name, first = next(item for item in agenda.outcomes.items() if item[1].status == status)
            more = f" and {counts[status] - 1} more" if counts[status] > 1 else ""
            reason = first.message.partition("\n")[0]
            parts.append(f"{counts[status]} {status}: {name}: {reason}{more}")
    return ", ".join(parts)


def facts(latest: Mapping[str, Any]) -> list[str]:
    """The report of a stage, in words: `step 120/400`, `loss 1.203`, `8,120 tokens/s`, `35.0 s left`."""
    where, shown = position(latest), numbers(latest)
    return [
        f"step {where}" if where[:1].isdigit() else where,
        *([f"loss {shown['loss']}"] if shown["loss"] else []),
        *([f"{shown['tokens/s']} tokens/s"] if shown["tokens/s"] else []),
        *([f"GPU {shown['GPU']}, {shown['memory']}"] if shown["GPU"] else []),
        *([f"{shown['left']} left"] if shown["left"] else []),
    ]


def position(latest: Mapping[str, Any]) -> str:
    """The position of a stage: its phase, if it has one, and its step of all steps."""
    step, steps = latest.get("step"), latest.get("steps")
    phase = latest.get("phase", "" if step is not None else "starting")
    count = "" if step is None else f"{step}/{steps}" if steps else str(step)
    return f"{phase} {count}".strip()


def numbers(latest: Mapping[str, Any]) -> dict[str, str]:
    """The other columns, by heading; empty if not reported."""
    loss, speed, eta = latest.get("loss"), latest.get("tokens_per_second"), latest.get("eta")
    use, memory = latest.get("gpu_use"), latest.get("gpu_memory")
    return {
        "loss": "" if loss is None else f"{loss:.3f}",
        "tokens/s": "" if speed is None else f"{speed:,.0f}",
        "GPU": "" if use is None else f"{use:.0f}%",
        "memory": "" if memory is None else f"{memory / 1e9:.1f}/{latest['gpu_memory_total'] / 1e9:.1f} GB",
        "left": "" if eta is None else duration(eta),
    }


def duration(seconds: float) -> str:
    """`8.4 s`, `3 min 20 s`, `2 h 5 min` or `3 d 4 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
