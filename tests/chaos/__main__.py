"""Long run: grids with faults, one after the other, until a number of faults has been injected.

    python -m tests.chaos --faults 60 --seed 7 --folder /tmp/chaos-7

If it is stopped, the same command continues: finished bouts are not repeated, an unfinished one is started again.
"""

import argparse
import itertools
import random
import shutil
import sys
from pathlib import Path

from tests.chaos import grid, report, stores, trace
from tests.chaos.bout import Bout
from tests.chaos.nodes import Nodes

GAP_SECONDS = (0.5, 5.0)
DECK = ("rank", "trial", "node", "driver", "rank", "pause", "driver", "node", "rival", "cut")


def main() -> int:
    """Parse the command line and run; the exit code is 1 if there was any problem."""
    parser = argparse.ArgumentParser(
        prog="tests.chaos", description="Inject faults into grids, and check that their results do not change."
    )
    parser.add_argument("--faults", type=int, default=60, help="total number of faults")
    parser.add_argument("--seed", type=int, default=7, help="seed for the order and the times of the faults")
    parser.add_argument("--folder", type=Path, default=Path("chaos"), help="folder for stores, logs and the trace")
    parser.add_argument("--stores", default="local,s3", help="kinds of stores, which are used in turn")
    arguments = parser.parse_args()
    return run(arguments.folder.absolute(), arguments.faults, arguments.seed, arguments.stores.split(","))


def run(folder: Path, faults: int, seed: int, kinds_of_store: list[str]) -> int:
    """Run bouts until `faults` faults have been injected; return the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "faults.jsonl"
    with Nodes(folder) as nodes, stores.buckets() as server:
        expected = {ranks: _undisturbed(nodes, folder, ranks) for ranks in (1, 2)}
        for number in itertools.count():
            # Each kind of store in turn; every other turn with two ranks.
            kind, ranks = kinds_of_store[number % len(kinds_of_store)], 1 + (number // len(kinds_of_store)) % 2
            name = f"{number + 1}-{kind}-{ranks}"
            done = _done(log)
            if done >= faults:
                break
            if not _ended(log, name):
                chance = random.Random(f"{seed} {name}")
                deck = chance.sample(DECK, len(DECK))[: faults - done]
                print(f"{done} faults done; {name}: {', '.join(deck)}", flush=True)
                shutil.rmtree(folder / name, ignore_errors=True)
                # Buckets do not outlast the server of an earlier run of this command.
                store = (
                    stores.Bucket(*server, f"bout-{name}") if kind == "s3" else stores.Local(folder / name / "store")
                )
                experiment = grid.write(folder / name, grid.FULL, store.uri, ranks)
                one = Bout(nodes, store, experiment, deck, chance, GAP_SECONDS, log)
                print("\n".join(one.run(expected[ranks])[1]), flush=True)
                print(report.report_text(report.read_log(log), trace.read(nodes.trace)), flush=True)
    return int(any(line.get("problems") for line in report.read_log(log)))


def _undisturbed(nodes: Nodes, folder: Path, ranks: int) -> grid.Result:
    """The outcome of the grid without faults. If the folder already has it, it is read from there."""
    name, log = f"undisturbed-{ranks}", folder / "faults.jsonl"
    if _ended(log, name):
        return grid.result(folder / name / "grid.yaml", str(folder / name / "store" / "store"))
    shutil.rmtree(folder / name, ignore_errors=True)
    store = stores.Local(folder / name / "store")
    experiment = grid.write(folder / name, grid.FULL, store.uri, ranks)
    return Bout(nodes, store, experiment, [], random.Random(0), GAP_SECONDS, log).run()[0]


def _done(log: Path) -> int:
    """Number of faults in the bouts that ended."""
    lines = report.read_log(log)
    ended = {line["bout"] for line in lines if line["event"] == "end"}
    return sum(line["event"] == "fault" and line["bout"] in ended for line in lines)


def _ended(log: Path, name: str) -> bool:
    return any(line["event"] == "end" and line["bout"] == name for line in report.read_log(log))


if __name__ == "__main__":
    sys.exit(main())
