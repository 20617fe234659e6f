"""The main job with its store in a bucket: killed, continued on a machine with an empty cache, equal in the end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from stilts.ledger.record import read_stage
from stilts.storage.open import open_store
from stilts.storage.protocol import Store
from tests.chaos.grid import evaluations
from tests.servers import TcpProxy, s3_uri
from tests.test_main_job import EXPERIMENT, scores

SMALL = ["--set=targets=[xnli, tatoeba]"]
STAGES = 5  # the base, mlm, mnli, and xnli after none and after mnli


@dataclass(frozen=True)
class Machine:
    """A folder with the experiment, and a cache of its own."""

    folder: Path
    uri: str

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        experiment = self.folder / "small.yaml"
        experiment.write_text(EXPERIMENT.format(store=self.uri))
        words = list(takewhile(lambda word: not word.startswith("-"), arguments))
        return subprocess.Popen(
            [sys.executable, "-m", "stilts", *words, str(experiment), *arguments[len(words) :]],
            cwd=self.folder,
            env={**os.environ, "STILTS_CACHE": str(self.folder / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[str, str]:
        """Standard output and error of a command that ends well."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=900)
        assert process.returncode == 0, err
        return out, err

    def kill(self, when: Any, *arguments: str) -> None:
        """Kill a run as soon as something has happened."""
        with self.start("run", *arguments) as driver:
            deadline = time.monotonic() + 600
            while not when() and driver.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            driver.send_signal(signal.SIGKILL)
            told = driver.communicate()[1]
        assert when(), told


def records(store: Store) -> dict[str, dict[str, Any]]:
    found = {name: read_stage(store, name) for name in store.list("stages")}
    return {name: record for name, record in found.items() if record is not None}


def scored(store: Store) -> dict[str, list[str]]:
    """Paths of the evaluation records, by stage."""
    return {name: evaluations(store, name) for name in records(store)}


def weights(store: Store) -> dict[str, Any]:
    """Digests of all weights that were ever stored, by stage."""
    return {name: record["weights"] for name, record in records(store).items()}


@pytest.fixture(scope="module")
def ended(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run in the bucket, killed and continued elsewhere; before it an undisturbed one in a folder."""
    folder = tmp_path_factory.mktemp("job")
    local = Machine(folder / "local", str(folder / "store"))
    uri = s3_uri(s3_endpoint, "bucket/runs")
    first, second = (Machine(folder / name, uri) for name in ("first", "second"))
    local.run("run", *SMALL)  # not beside the others: Ray gives up where it takes half a minute to start
    first.kill(lambda: len(records(open_store(uri))) >= 2, *SMALL)
    store = open_store(uri)
    before, scored_before = records(store), scored(store)
    _, told = second.run("run", *SMALL)
    found = {"folder": folder, "local": local, "second": second, "told": told, "uri": uri}
    return {**found, "before": before, "scored before": scored_before}


def test_the_table_is_the_local_stores(ended: dict[str, Any]) -> None:
    assert scores(ended["second"].folder) == scores(ended["local"].folder)
    assert {row["status"] for row in scores(ended["second"].folder)} == {"ok"}
    assert weights(open_store(ended["uri"])) == weights(open_store(ended["local"].uri))


def test_nothing_that_was_stored_before_the_kill_is_trained_again(ended: dict[str, Any]) -> None:
    store = open_store(ended["uri"])
    after = records(store)
    assert len(after) == STAGES
    assert {name: after[name] for name in ended["before"]} == ended["before"]
    left = re.search(r"of (\d+) done", ended["told"])
    assert left is not None
    # A stage that was killed between its record and its evaluations is not done.
    done = [name for name, paths in scored(store).items() if ended["scored before"].get(name) == paths]
    assert done
    # Less is left where a rank of the killed driver has ended its stage before it was gone itself.
    assert int(left[1]) <= STAGES - len(done)


def test_a_third_machine_trains_nothing_and_tells_the_same(ended: dict[str, Any]) -> None:
    third = Machine(ended["folder"] / "third", ended["uri"])
    before = records(open_store(ended["uri"]))
    assert "nothing to train" in third.run("run", *SMALL)[1]
    assert records(open_store(ended["uri"])) == before
    assert scores(third.folder) == scores(ended["local"].folder)
    assert {row["state"] for row in json.loads(third.run("status", "--json", *SMALL)[0])["stages"]} == {"done"}
    assert {row["problem"] for row in json.loads(third.run("data", "verify", "--json", *SMALL)[0])} == {None}
    made = third.run("submission", "--out", "submission", "--intermediate", "tatoeba=none", "--json", *SMALL)[0]
    assert set(json.loads(made)["targets"]) == {"xnli", "tatoeba"}


def test_weights_load_once_fetched(ended: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModel

    monkeypatch.setenv("STILTS_CACHE", str(tmp_path))
    store = open_store(ended["uri"])
    kept = [name for name in records(store) if list(store.list(f"stages/{name}/weights"))]
    assert len(kept) == 3
    for name in kept:
        folder = store.fetch_tree(f"stages/{name}/weights", records(store)[name]["weights"])
        AutoModel.from_pretrained(folder, local_files_only=True)


def test_no_resume_state_is_left(ended: dict[str, Any]) -> None:
    store = open_store(ended["uri"])
    assert [list(store.list(f"stages/{name}/resume")) for name in store.list("stages")] == [[]] * STAGES
    assert not list((ended["second"].folder / "cache").glob("scratch/*/stages/*/resume*/*"))


@pytest.mark.slow
def test_two_ranks_share_what_their_node_fetched(ended: dict[str, Any], s3_endpoint: str) -> None:
    machine = Machine(ended["folder"] / "pair", s3_uri(s3_endpoint, "bucket/pair"))
    machine.run("run", *SMALL, "--set=runtime.ranks=2")
    assert {row["status"] for row in scores(machine.folder)} == {"ok"}


@pytest.mark.slow
def test_a_store_that_is_away_delays_and_fails_nothing(ended: dict[str, Any], s3_endpoint: str) -> None:
    with TcpProxy(s3_endpoint) as proxy:
        machine = Machine(ended["folder"] / "away", s3_uri(proxy.endpoint, "bucket/away"))
        with machine.start("run", *SMALL) as driver:
            store = open_store(s3_uri(s3_endpoint, "bucket/away"))
            for wanted in (1, 3):
                while len(records(store)) < wanted and driver.poll() is None:
                    time.sleep(0.1)
                proxy.cut()
                time.sleep(10)
                proxy.resume()
            _, told = driver.communicate(timeout=900)
    assert driver.returncode == 0, told
    assert scores(machine.folder) == scores(ended["local"].folder)
    assert weights(store) == weights(open_store(ended["local"].uri))


@pytest.mark.slow
def test_killed_at_every_stage(ended: dict[str, Any], s3_endpoint: str) -> None:
    """Each time on another machine."""
    uri = s3_uri(s3_endpoint, "bucket/often")
    store = open_store(uri)
    for wanted in range(1, STAGES):
        Machine(ended["folder"] / f"often{wanted}", uri).kill(lambda: len(records(store)) >= wanted, *SMALL)  # noqa: B023
    last = Machine(ended["folder"] / "last", uri)
    last.run("run", *SMALL)
    assert scores(last.folder) == scores(ended["local"].folder)
    assert weights(store) == weights(open_store(ended["local"].uri))
