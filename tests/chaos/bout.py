"""One bout: runs a grid and a search to their ends, injects faults, and checks the outcome.

A seeded generator chooses the times of the faults. Most faults wait until some stage has made an optimizer step since
the previous fault; the others wait until some stage has reported anything. Without these waits, the grid would never
finish.
"""

import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.chaos import checks, faults, grid, trace
from tests.chaos.database import Database
from tests.chaos.nodes import Nodes
from tests.chaos.scene import Command, Scene
from tests.chaos.stores import Place

TICK_SECONDS = 0.2
EARLY = 0.2
"""Share of the faults that may come before an optimizer step, while models are loaded and data is encoded."""
RESTART_SECONDS = (1.0, 16.0)
"""Time until a driver that failed is started again, the first time and at most; it doubles each time."""
CALM_FAILURES = 3
"""A grid without faults whose drivers have failed so often does not work at all."""
PATIENCE_SECONDS = 400.0
"""A grid counts as stuck after this time without a report from any stage."""


class Bout:
    """A grid under faults; see the module's docstring.

    Args:
        database: of the search's study, unless it lies in the store.
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
        database: Database | None,
        experiment: Path,
        kinds: Sequence[str],
        chance: random.Random,
        gap: tuple[float, float],
        log: Path,
    ) -> None:
        self.store, self.log, self.gap = store, log, gap
        self.scene = Scene(nodes, experiment, store, database, chance)
        self.undone = list(kinds)
        self._calm, self._failures = not kinds, 0
        self._open: dict[str, int] = {}
        self._done: set[Command] = set()
        self._restart: dict[Command, float] = {}
        self._pause: dict[Command, float] = {}
        self._moved = self._trained = self._last_fault = time.monotonic()
        self._due: float | None = None
        self._early: bool | None = None

    def run(self, expected: grid.Result | None = None) -> tuple[grid.Result | None, list[str]]:
        """Run the grid and its search.

        Args:
            expected: the outcome of an undisturbed run.

        Returns:
            The outcome, or None if the bout came to no end; and the problems that were found, as messages.
        """
        began = time.monotonic()
        self._note("begin", experiment=str(self.scene.experiment), store=self.store.uri)
        self.scene.searching = not self.undone
        found, problems = None, self.scene.problems
        with self.store.ledger() as records:
            try:
                for _ in self._until_done():
                    self._see_movement()
                    self._do_what_was_put_off()
                    self._disturb()
            except TimeoutError as error:
                problems.append(f"{error}; see {self.scene.experiment.parent}")
            else:
                self._clean()
                found = grid.result(self.scene.experiment, self.store.uri, self.store.paths())
        problems += records.violations + self._check()
        if found is not None:
            problems += [f"stage {name} has no record" for name in found.stages if name not in records.records]
            problems += [] if expected is None else checks.differences(expected, found)
        self._note("end", seconds=time.monotonic() - began, problems=problems)
        return found, problems

    def _check(self) -> list[str]:
        """Problems that need no comparison with the undisturbed run."""
        attempts = self.scene.trace.attempts
        return [
            *trace.overlaps(attempts),
            *trace.twice(attempts),
            *checks.drivers(self.scene.ended),
            *checks.residue(self.store.paths()),
            *self.scene.nodes.leftovers(),
        ]

    def _clean(self) -> None:
        """Run `stilts clean`. It must remove what killed processes left behind, and nothing that is needed."""
        self.scene.stop_cleaner()
        self.store.age()
        cleaned = self.scene.clean()
        if cleaned.process.returncode != 0:
            self.scene.problems.append(f"stilts clean ended with {cleaned.process.returncode}: see {cleaned.log}")
        self._note("cleaned", times=sum(driver.command == "clean" for driver in self.scene.ended))

    def _until_done(self) -> Iterator[None]:
        """Start drivers until the grid and its search have succeeded and all drivers have ended."""
        try:
            while True:
                self._see_ended()
                if self._done >= {"run", "tune"} and not self.scene.drivers and not self.scene.later:
                    return
                self._start_drivers()
                if time.monotonic() - self._moved > PATIENCE_SECONDS:
                    raise TimeoutError(f"nothing has moved for {PATIENCE_SECONDS:.0f} s")
                yield
                time.sleep(TICK_SECONDS)
        finally:
            for _, do in self.scene.later:
                do()
            self.scene.stop_cleaner()
            for driver in self.scene.drivers:
                driver.kill()
                driver.process.wait()

    def _see_ended(self) -> None:
        for driver in self.scene.see_ended():
            code = driver.process.returncode
            self._note("driver ended", pid=driver.pid, command=driver.command, code=code)
            if code == 0:
                self._done.add(driver.command)
            elif code > 0:
                self._failures += 1
                if self._calm and self._failures == CALM_FAILURES:
                    raise TimeoutError(f"stilts {driver.command} ends with {code} although nothing disturbs it")
                pause = self._pause.get(driver.command, RESTART_SECONDS[0])
                self._pause[driver.command] = min(2 * pause, RESTART_SECONDS[1])
                self._restart[driver.command] = time.monotonic() + pause

    def _start_drivers(self) -> None:
        """Start a driver of the grid, or of the search if it has begun, if it is not done and none is running."""
        if self.scene.down:
            return
        missing: list[Command] = [] if "run" in self._done or self.scene.runs else ["run"]
        searches = self.scene.searching or "run" in self._done
        missing += ["tune"] if searches and "tune" not in self._done and not self.scene.searches else []
        for command in missing:
            if time.monotonic() > self._restart.get(command, 0.0):
                self._note("driver started", command=command, pid=self.scene.start(command).pid)

    def _see_movement(self) -> None:
        for line in self.scene.trace.update():
            if line["event"] == "enter":
                self._open[line["attempt"]] = line["pid"]
            elif line["event"] == "leave":
                self._open.pop(line["attempt"], None)
            else:
                self._moved = line["time"]
                self._pause.clear()
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
        if not self.undone or self.scene.later or self.scene.down:
            return
        if self._early is None:
            self._early = self.scene.chance.random() < EARLY
        if (self._moved if self._early else self._trained) <= self._last_fault:
            return
        if self._due is None:
            self._due = time.monotonic() + self.scene.chance.uniform(*self.gap)
        if time.monotonic() < self._due:
            return
        busy, when = self.scene.busy(), time.monotonic()
        kind = self.undone.pop(0)
        target = faults.KINDS[kind](self.scene)
        if target is None:
            self.undone.append(kind)
            return
        during = {attempt.identity: attempt.steps[-1][1] if attempt.steps else 0 for attempt in busy}
        self._note("fault", when, kind=kind, target=target, during=during)
        self._last_fault, self._due, self._early = time.monotonic(), None, None

    def _note(self, event: str, when: float | None = None, **facts: Any) -> None:
        line = {"time": when or time.monotonic(), "bout": self.scene.experiment.parent.name, "event": event, **facts}
        with self.log.open("a") as log:
            log.write(json.dumps(line) + "\n")
