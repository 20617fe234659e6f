"""Long run: grids with faults, one after the other, until a number of faults has been injected.

    python -m tests.chaos --faults 200 --seeds 4 --folder /tmp/chaos

Each seed gets its share of the faults. If the run is stopped, the same command continues: finished bouts are not
repeated, an unfinished one is started again. After each bout, the report is written to report.md in the folder.
"""

import argparse
import contextlib
import itertools
import random
import shutil
import sys
from pathlib import Path

from tests.chaos import database, disk, faults, grid, report, stores, trace
from tests.chaos.bout import Bout
from tests.chaos.database import Database, Sqlite
from tests.chaos.disk import Disk
from tests.chaos.nodes import Nodes
from tests.chaos.stores import Place

GAP_SECONDS = (0.2, 2.0)
DISK_MEGABYTES = 256
BOUT = 25
"""Faults of one bout."""
RANKS = (1, 1, 1, 2, 2, 1)
"""Ranks of a trial in one bout after another."""
FEW = 4
"""The share of a seed counts as done when so many faults are left: they are left to the next seed."""
DECK = (*faults.KINDS, "rank", "node", "driver", "search")
"""From these the faults of a bout are drawn."""


def main() -> int:
    """Parse the command line and run; the exit code is 1 if there was any problem."""
    parser = argparse.ArgumentParser(
        prog="tests.chaos", description="Inject faults into grids, and check that their results do not change."
    )
    parser.add_argument("--faults", type=int, default=60, help="total number of faults")
    parser.add_argument("--seed", type=int, default=7, help="first seed for the order and the times of the faults")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, each of which gets as many faults")
    parser.add_argument("--folder", type=Path, default=Path("chaos"), help="folder for stores, logs and the trace")
    parser.add_argument("--stores", default="local,s3", help="kinds of stores, which are used in turn")
    parser.add_argument("--kinds", help="kinds of faults, with commas between them; all of them if this is left out")
    arguments = parser.parse_args()
    lacking = faults.unavailable()
    for kind, reason in lacking.items():
        print(f"no faults of the kind {kind}: {reason}", flush=True)
    if reason := database.postgres_unavailable():
        print(f"no studies in PostgreSQL: {reason}", flush=True)
    wanted = arguments.kinds.split(",") if arguments.kinds else DECK
    deck = [kind for kind in wanted if kind not in lacking]
    seeds = [arguments.seed + number for number in range(arguments.seeds)]
    with Run(arguments.folder.absolute(), arguments.stores.split(","), deck) as run:
        for number, seed in enumerate(seeds, 1):
            run.inject(arguments.faults * number // len(seeds), seed, FEW if number < len(seeds) else 0)
        return int(bool(run.problems()))


class Run:
    """Context manager: the cluster, the servers and the log of a run, in one folder.

    Args:
        kinds_of_store: used in turn.
        deck: kinds of faults.
    """

    def __init__(self, folder: Path, kinds_of_store: list[str], deck: list[str]) -> None:
        self.folder, self.log = folder, folder / "faults.jsonl"
        self._kinds, self._deck = kinds_of_store, deck
        self._open = contextlib.ExitStack()
        self._expected: dict[int, grid.Result] = {}

    def __enter__(self) -> "Run":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._disk = None
        if not disk.unavailable():
            self._disk = self._open.enter_context(Disk(self.folder / "disk", DISK_MEGABYTES))
        self._server = self._open.enter_context(stores.buckets())
        self._postgres = self._open.enter_context(database.postgres())
        self.nodes = self._open.enter_context(Nodes(self.folder))
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def problems(self) -> list[str]:
        """All problems of the run so far."""
        return [problem for line in report.read_log(self.log) for problem in line.get("problems", [])]

    def inject(self, faults: int, seed: int, few: int = 0) -> None:
        """Run bouts with this seed until the whole run has had `faults` faults, or at most `few` fewer."""
        for number in itertools.count():
            done = _done(self.log)
            if done >= faults - few:
                return
            turn = number + 2 * seed  # each seed begins at another place
            kind, ranks = self._kinds[turn % len(self._kinds)], RANKS[turn % len(RANKS)]
            name = f"{seed}-{number + 1}-{kind}-{ranks}"
            if not _ended(self.log, name):
                chance = random.Random(name)
                deck = [one for one in self._deck if one != "database" or ranks == 1]
                twice = [*deck, *(one for one in deck if one != "clean")]
                chosen = chance.sample(twice, min(BOUT, len(twice)))[: faults - done]
                print(f"{done} faults done; {name}: {', '.join(chosen)}", flush=True)
                self._bout(name, kind, ranks, chosen, chance)

    def _bout(self, name: str, kind: str, ranks: int, chosen: list[str], chance: random.Random) -> None:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        expected = self._undisturbed(ranks)
        store, study = self._store(name, kind), self._study(folder, kind, ranks)
        experiment = grid.write(folder, grid.FULL, store.uri, ranks, study and study.url)
        one = Bout(self.nodes, store, study, experiment, chosen, chance, GAP_SECONDS, self.log)
        problems = one.run(expected)[1]
        if problems and kind == "local":
            shutil.copytree(store.uri, folder / "store")
        print("\n".join(problems), flush=True)
        text = report.report_text(report.read_log(self.log), trace.read(self.nodes.trace))
        (self.folder / "report.md").write_text(text + "\n")

    def _store(self, name: str, kind: str) -> Place:
        if kind == "s3":
            return stores.Bucket(*self._server, f"bout-{name}")
        folder = self.folder / "disk" / name
        shutil.rmtree(folder, ignore_errors=True)
        return stores.Local(folder, self._disk)

    def _study(self, folder: Path, kind: str, ranks: int) -> Database | None:
        """The database of the study; None if the study lies in the store, as it does in every other turn."""
        if ranks > 1:
            return None
        if kind == "s3" and self._postgres is not None:
            return self._postgres.database(folder.name.replace("-", "_"))
        return Sqlite(folder / "study.db")

    def _undisturbed(self, ranks: int) -> grid.Result:
        """The outcome without faults. If the folder already has it, it is read from there."""
        if ranks in self._expected:
            return self._expected[ranks]
        name = f"undisturbed-{ranks}"
        folder = self.folder / name
        if not _ended(self.log, name):
            shutil.rmtree(folder, ignore_errors=True)
            store = stores.Local(folder / "store")
            experiment = grid.write(folder, grid.FULL, store.uri, ranks)
            one = Bout(self.nodes, store, None, experiment, [], random.Random(0), GAP_SECONDS, self.log)
            print("\n".join(one.run()[1]), flush=True)
        store = stores.Local(folder / "store")
        self._expected[ranks] = grid.result(folder / "grid.yaml", store.uri, store.paths())
        return self._expected[ranks]


def _done(log: Path) -> int:
    """Number of faults in the bouts that ended."""
    lines = report.read_log(log)
    ended = {line["bout"] for line in lines if line["event"] == "end"}
    return sum(line["event"] == "fault" and line["bout"] in ended for line in lines)


def _ended(log: Path, name: str) -> bool:
    return any(line["event"] == "end" and line["bout"] == name for line in report.read_log(log))


if __name__ == "__main__":
    sys.exit(main())
