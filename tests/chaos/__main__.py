"""The long run: grids under faults, one after the other, until so many have been done. `--help` says how.

    python -m tests.chaos --faults 60 --seed 7 --folder /tmp/chaos-7

The same command goes on where it was stopped: bouts that ended are not repeated, one that did not is begun anew.
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
    """Exit code 1 where anything went wrong."""
    parser = argparse.ArgumentParser(
        prog="tests.chaos", description="Disturb grids, and see whether they come through."
    )
    parser.add_argument("--faults", type=int, default=60, help="how many in all")
    parser.add_argument("--seed", type=int, default=7, help="of the kinds' order and the moments")
    parser.add_argument("--folder", type=Path, default=Path("chaos"), help="for stores, logs and the trace")
    parser.add_argument("--stores", default="local,s3", help="in turns")
    arguments = parser.parse_args()
    return run(arguments.folder.absolute(), arguments.faults, arguments.seed, arguments.stores.split(","))


def run(folder: Path, faults: int, seed: int, kinds_of_store: list[str]) -> int:
    """See `main`."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "faults.jsonl"
    with Nodes(folder) as nodes, stores.buckets() as server:
        expected = {ranks: _undisturbed(nodes, folder, ranks) for ranks in (1, 2)}
        for number in itertools.count():
            # Pairs of bouts, one on each store; every other pair has two ranks.
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
                # A bucket of an earlier run of this command is gone with its server.
                store = (
                    stores.Bucket(*server, f"bout-{name}") if kind == "s3" else stores.Local(folder / name / "store")
                )
                experiment = grid.write(folder / name, grid.FULL, store.uri, ranks)
                one = Bout(nodes, store, experiment, deck, chance, GAP_SECONDS, log)
                print("\n".join(one.run(expected[ranks])[1]), flush=True)
                print(report.told(report.read_log(log), trace.read(nodes.trace)), flush=True)
    return int(any(line.get("problems") for line in report.read_log(log)))


def _undisturbed(nodes: Nodes, folder: Path, ranks: int) -> grid.Result:
    """What the grid comes to; from the folder where it is there already."""
    name, log = f"undisturbed-{ranks}", folder / "faults.jsonl"
    if _ended(log, name):
        return grid.result(folder / name / "grid.yaml", str(folder / name / "store" / "store"))
    shutil.rmtree(folder / name, ignore_errors=True)
    store = stores.Local(folder / name / "store")
    experiment = grid.write(folder / name, grid.FULL, store.uri, ranks)
    return Bout(nodes, store, experiment, [], random.Random(0), GAP_SECONDS, log).run()[0]


def _done(log: Path) -> int:
    """Faults of the bouts that ended."""
    lines = report.read_log(log)
    ended = {line["bout"] for line in lines if line["event"] == "end"}
    return sum(line["event"] == "fault" and line["bout"] in ended for line in lines)


def _ended(log: Path, name: str) -> bool:
    return any(line["event"] == "end" and line["bout"] == name for line in report.read_log(log))


if __name__ == "__main__":
    sys.exit(main())
