"""Runs as another process sees them: alive, late, still preparing, or dead."""

import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from stilts.experiment.experiment import Experiment
from stilts.ledger.progress import read_progress, write_progress
from stilts.monitor import live
from stilts.monitor.live import live_runs, remarks, watch
from stilts.schedule.progress import RunProgress, StageProgress
from stilts.storage import lease as lease_module
from stilts.storage.bucket.store import ObjectStore
from stilts.storage.cache import Cache
from stilts.storage.lease import Lease
from stilts.storage.local import LocalStore
from stilts.storage.uri import parse_uri
from tests.servers import HttpProxy, s3_uri

RUN = "experiments/one/runs/0123456789ab"
PROGRESS = RunProgress(
    seconds=65.0,
    left=130.0,
    counts={"done": 1, "running": 1, "waiting": 2, "failed": 0, "diverged": 0, "not run": 0},
    running=(StageProgress("mnli-s1-0123456789ab", 30.0, {"step": 5, "steps": 50, "loss": 1.25}),),
)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def experiment(store: LocalStore) -> Experiment:
    return Experiment.model_construct(name="one", store=store.uri, cluster=None)


def shown(
    experiment: Experiment, store: LocalStore, monkeypatch: pytest.MonkeyPatch, looks: int, terminal: bool = False
) -> str:
    """The output of `watch` after `looks` updates, ended by Ctrl-C."""
    out = io.StringIO()

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks -= 1
        if not looks:
            raise KeyboardInterrupt

    monkeypatch.setattr(live.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        watch(experiment, store, Console(file=out, width=150, force_terminal=terminal))
    return out.getvalue()


def test_what_is_written_is_read(store: LocalStore) -> None:
    assert read_progress(store, RUN) is None
    write_progress(store, RUN, PROGRESS)
    told = read_progress(store, RUN)
    assert told is not None
    assert told.progress == PROGRESS
    store.write(f"{RUN}/progress.json", b"{")
    assert read_progress(store, RUN) is None


def test_a_pipe_gets_a_line_for_what_is_new(
    store: LocalStore, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lease(store, RUN):
        assert shown(experiment, store, monkeypatch, 2) == ""
        write_progress(store, RUN, PROGRESS)
        (line,) = shown(experiment, store, monkeypatch, 3).splitlines()
    assert line.endswith(
        "1 of 4 done, 1 running, 2 waiting, 1 min 5 s so far, about 2 min 10 s left"
        " | mnli-s1-0123456789ab step 5/50, loss 1.250"
    )


def test_a_terminal_says_what_prepares_and_what_is_late(
    store: LocalStore, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lease(store, RUN):
        assert "prepares" in shown(experiment, store, monkeypatch, 1, terminal=True)
        write_progress(store, RUN, PROGRESS)
        assert "nothing was heard" not in shown(experiment, store, monkeypatch, 1, terminal=True)
        told = json.loads(store.read(f"{RUN}/progress.json") or b"")
        store.write(f"{RUN}/progress.json", json.dumps({**told, "time": told["time"] - 200}).encode())
        late = shown(experiment, store, monkeypatch, 1, terminal=True)
    assert "nothing was heard for 3 min 2" in late  # and a few seconds
    assert "5/50" in late


def test_a_dead_driver_is_told_and_ends_the_watching(
    store: LocalStore, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_progress(store, RUN, PROGRESS)
    store.write(f"{RUN}/claims/1.json", json.dumps({"released": False, "renewed": 0}).encode())
    (run,) = live_runs(store, "one")
    assert run.to_json()["alive"] is False
    monkeypatch.setattr(live.time, "sleep", lambda seconds: None)
    out = io.StringIO()
    watch(experiment, store, Console(file=out, width=150))
    assert "died" in out.getvalue()
    assert "the same `stilts run` continues" in out.getvalue()


def test_a_driver_of_another_machine_that_is_silent_is_not_called_alive(store: LocalStore) -> None:
    """One look: the heartbeat is five minutes old, and nobody here can tell whether the process lives."""
    write_progress(store, RUN, PROGRESS)
    held = {"host": "elsewhere", "boot": "b", "pid": 7, "started": "s", "released": False}
    store.write(f"{RUN}/claims/1.json", json.dumps({**held, "renewed": time.time() - 300}).encode())
    runs = live_runs(store, "one")
    assert runs[0].to_json()["alive"] is False
    [line] = remarks(runs)
    assert "the driver elsewhere (process 7) was last heard of 5 min" in line
    assert "the same command continues" in line


@pytest.mark.parametrize("rests", [False, True])
def test_watching_a_bucket_makes_few_requests(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rests: bool
) -> None:
    """An hour of watching, on a clock that the test sets."""
    clock = [1000.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(lease_module, "_now", lambda: clock[0])
    experiment = Experiment.model_construct(name="one", store="s3://bucket", cluster=None)
    path = f"bucket/{tmp_path.name}"
    direct = ObjectStore(parse_uri(s3_uri(s3_endpoint, path)), Cache(tmp_path / "cache"))
    write_progress(direct, RUN, PROGRESS)
    with HttpProxy(s3_endpoint) as proxy, Lease(direct, RUN) as lease:
        store = ObjectStore(parse_uri(s3_uri(proxy.endpoint, path)), Cache(tmp_path / "other"))
        printed = io.StringIO()

        def sleep(seconds: float) -> None:
            clock[0] += seconds
            if clock[0] > 4600:
                raise KeyboardInterrupt
            lease._write()  # the heartbeat of this time
            if not rests:
                write_progress(direct, RUN, PROGRESS)

        monkeypatch.setattr(live.time, "sleep", sleep)
        with pytest.raises(KeyboardInterrupt):
            watch(experiment, store, Console(file=printed, width=150))
        requests = len(proxy.requests)
    assert 40 <= requests <= 120
    updates = len(printed.getvalue().splitlines())
    assert updates == 1 if rests else updates >= 40, "about one a minute"
