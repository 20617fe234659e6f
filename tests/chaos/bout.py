"""One bout: runs a grid from the first driver to the final table, injects faults, and checks the outcome.

A seeded generator chooses the times of the faults. Most faults wait until some stage has made an optimizer step since
the previous fault; the others wait until some stage has reported anything. Without these waits, the grid would never
finish.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.chaos import faults, grid, trace
from tests.chaos.faults import Scene
from tests.chaos.nodes import Nodes
from tests.chaos.stores import Place

TICK_SECONDS = 0.2
EARLY = 0.2
"""Share of the faults that may come before an optimizer step, while models are loaded and data is encoded."""
PATIENCE_SECONDS = 600.0
"""A grid counts as stuck after this time without a report from any stage."""


class Bout:
    """A grid under faults; see the module's docstring.

    Args:
        kinds: the kinds of faults to inject, in their order.
        chance: the random generator.
        gap: minimum and maximum number of seconds between the first progress after a fault and the next fault.
        log: file of JSON lines, to which events are appended.

    Attributes:
        undone: the faults that were not injected because the grid had finished.
    """

    def __init__(
        self,
        nodes: Nodes,
        store: Place,
        experiment: Path,
        kinds: Sequence[str],
        chance: random.Random,
        gap: tuple[float, float],
        log: Path,
    ) -> None:
        self.store, self.log, self.gap = store, log, gap
        self.scene = Scene(nodes, experiment, store.uri, store, chance)
        self.undone = list(kinds)
        self._open: dict[str, int] = {}
        self._moved = self._trained = self._last_fault = time.time()
        self._lines = 0
        self._due: float | None = None
        self._early: bool | None = None

    def run(self, expected: grid.Result | None = None) -> tuple[grid.Result, list[str]]:
        """Run the grid; return its outcome and the problems that were found, as messages."""
        began = time.time()
        self._note("begin", experiment=str(self.scene.experiment), store=self.store.uri)
        with self.store.ledger() as records:
            for _ in self._until_done():
                self._see_movement()
                self._do_what_was_put_off()
                self._disturb()
            self._clean()
        problems = [*records.violations, *trace.overlaps(self.scene.attempts())]
        problems += self.scene.nodes.leftovers() + self.store.residue()
        found = grid.result(self.scene.experiment, self.store.uri)
        problems += [f"stage {name} has no record" for name in found.stages if name not in records.records]
        if expected is not None:
            problems += differences(expected, found)
        self._note("end", seconds=time.time() - began, problems=problems)
        return found, problems

    def _clean(self) -> None:
        """Run `stilts clean`. It must remove what killed processes left behind, and nothing that is needed."""
        self.store.age()
        command = [sys.executable, "-m", "stilts", "clean", "--store", self.store.uri, "-y", "--json"]
        cleaned = subprocess.run(
            command, env=self.scene.nodes.environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert cleaned.returncode == 0, cleaned.stderr
        self._note("cleaned", found=json.loads(cleaned.stdout))

    def _until_done(self) -> Iterator[None]:
        """Start a driver whenever none is running, until one has succeeded and all others have ended."""
        done = False
        try:
            while True:
                for driver in [driver for driver in self.scene.drivers if driver.poll() is not None]:
                    self.scene.drivers.remove(driver)
                    done = done or driver.returncode == 0
                    self._note("driver ended", pid=driver.pid, code=driver.returncode)
                if not self.scene.drivers and done and not self.scene.later:
                    return
                if not self.scene.drivers and not done:
                    self._note("driver started", pid=self.scene.start_driver())
                if time.time() - self._moved > PATIENCE_SECONDS:
                    raise TimeoutError(
                        f"nothing has moved for {PATIENCE_SECONDS} s; see {self.scene.experiment.parent}"
                    )
                yield
                time.sleep(TICK_SECONDS)
        finally:
            for _, do in self.scene.later:
                do()
            for driver in self.scene.drivers:
                driver.kill()
                driver.wait()

    def _see_movement(self) -> None:
        lines = trace.read(self.scene.nodes.trace)
        ours = [line for line in lines[self._lines :] if line["store"] == self.store.uri]
        self._lines = len(lines)
        for line in ours:
            if line["event"] == "enter":
                self._open[line["attempt"]] = line["pid"]
            elif line["event"] == "leave":
                self._open.pop(line["attempt"], None)
            else:
                self._moved = line["time"]
                self._trained = line["time"] if line["step"] is not None else self._trained
        for attempt, pid in list(self._open.items()):
            if not psutil.pid_exists(pid):
                del self._open[attempt]
                self._note("death", attempt=attempt, pid=pid)

    def _do_what_was_put_off(self) -> None:
        for entry in list(self.scene.later):
            due, do = entry
            if due():
                self.scene.later.remove(entry)
                do()
                self._note("over", what=do.__qualname__)

    def _disturb(self) -> None:
        if not self.undone or self.scene.later:
            return
        if self._early is None:
            self._early = self.scene.chance.random() < EARLY
        if (self._moved if self._early else self._trained) <= self._last_fault:
            return
        if self._due is None:
            self._due = time.time() + self.scene.chance.uniform(*self.gap)
        if time.time() < self._due:
            return
        busy, when = self.scene.busy(), time.time()
        kind = self.undone.pop(0)
        target = faults.KINDS[kind](self.scene)
        if target is None:
            self.undone.append(kind)
            return
        during = {attempt.identity: attempt.steps[-1][1] if attempt.steps else 0 for attempt in busy}
        self._note("fault", when, kind=kind, target=target, during=during)
        self._last_fault, self._due, self._early = time.time(), None, None

    def _note(self, event: str, when: float | None = None, **facts: Any) -> None:
        line = {"time": when or time.time(), "bout": self.scene.experiment.parent.name, "event": event, **facts}
        with self.log.open("a") as log:
            log.write(json.dumps(line) + "\n")


def differences(expected: grid.Result, found: grid.Result) -> list[str]:
    """Messages about each difference between the results of an undisturbed and a disturbed grid."""
    said = []
    for what in ("stages", "predictions"):
        one, two = getattr(expected, what), getattr(found, what)
        said += [f"{what}: {name} differs from the undisturbed run's" for name in one if one[name] != two.get(name)]
        said += [f"{what}: {name} is not in the undisturbed run" for name in two if name not in one]
    said += [f"the weights of {name} should be gone" for name in set(found.kept) - set(expected.kept)]
    if expected.table != found.table:
        said.append("the final table differs from the undisturbed run's")
    return said
