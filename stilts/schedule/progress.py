"""Progress: how far a run is, as its driver knows it and as others read it. Plain data, without Ray or a terminal."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stilts.schedule.agenda import Agenda, Status

REPORTED = (
    "phase", "step", "steps", "loss", "tokens_per_second", "eta", "gpu_use", "gpu_memory", "gpu_memory_total"
)  # fmt: skip
"""What the leader of a stage reports of it, as far as there is something to report. `eta`: seconds. `gpu_use`: percent,
the mean over its GPUs; `gpu_memory` and `gpu_memory_total`: bytes, of its fullest GPU."""

_OTHERS: tuple[Status, ...] = ("running", "waiting", "stopped", "failed", "diverged", "not run")


@dataclass(frozen=True)
class StageProgress:
    """A stage under way.

    Attributes:
        seconds: that this attempt has taken.
        latest: of `REPORTED`, what was reported last.
    """

    name: str
    seconds: float
    latest: Mapping[str, Any]


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes:
        seconds: since it began.
        left: seconds to its end; None where nothing tells.
        counts: stages by status.
        running: the stages under way, in the order in which they started.
    """

    seconds: float
    left: float | None
    counts: Mapping[str, int]
    running: tuple[StageProgress, ...]

    @property
    def stages(self) -> int:
        return sum(self.counts.values())


def progress_of(agenda: Agenda, seconds: float, running: tuple[StageProgress, ...]) -> RunProgress:
    """The progress of a run with this agenda."""
    left = remaining(agenda, len(running), {stage.name: stage.seconds for stage in running})
    return RunProgress(seconds, left, counts_of(agenda), running)


def counts_of(agenda: Agenda) -> dict[str, int]:
    """Its stages by status."""
    counts = Counter(outcome.status for outcome in agenda.outcomes.values())
    return {status: counts[status] for status in ("done", *_OTHERS)}


def remaining(agenda: Agenda, at_once: int, elapsed: Mapping[str, float]) -> float | None:
    """Seconds to the end of the run: the larger of the work left over the trials at once, and the longest chain left.

    The estimates are scaled by what the finished stages really took; None before the first has finished, and where
    every stage has used up its estimate, and while more stages may come.

    Args:
        at_once: trials that run now.
        elapsed: seconds that each of them has run.
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


def facts(latest: Mapping[str, Any]) -> list[str]:
    """What was reported of a stage, in words: `step 120/400`, `loss 1.203`, `8,120 tokens/s`, `35.0 s left`."""
    where, told = position(latest), numbers(latest)
    return [
        f"step {where}" if where[:1].isdigit() else where,
        *([f"loss {told['loss']}"] if told["loss"] else []),
        *([f"{told['tokens/s']} tokens/s"] if told["tokens/s"] else []),
        *([f"GPU {told['GPU']}, {told['memory']}"] if told["GPU"] else []),
        *([f"{told['left']} left"] if told["left"] else []),
    ]


def position(latest: Mapping[str, Any]) -> str:
    """Where a stage is: its phase, where it has one, and its step of steps."""
    step, steps = latest.get("step"), latest.get("steps")
    phase = latest.get("phase", "" if step is not None else "starting")
    count = "" if step is None else f"{step}/{steps}" if steps else str(step)
    return f"{phase} {count}".strip()


def numbers(latest: Mapping[str, Any]) -> dict[str, str]:
    """The columns beside it, by heading; empty where nothing was reported."""
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
