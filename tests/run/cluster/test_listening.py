"""What a run that starts a Ray of its own listens on."""

import ipaddress
import os
import socket
from pathlib import Path

import psutil
import pytest
import ray
from ray import tune
from ray.tune.experiment import Trial

from stilts.experiment.runtime import Runtime
from stilts.run.tune_adapter.execute import execute
from tests.run.conftest import HERE, MakeJob


class Listeners(tune.Callback):
    """Every address that this process and its descendants listen on while a stage runs, with the program."""

    def __init__(self) -> None:
        self.found: set[tuple[str, str]] = set()

    def on_trial_result(self, iteration: int, trials: list, trial: Trial, result: dict, **info: object) -> None:
        here = psutil.Process()
        for process in [here, *here.children(recursive=True)]:
            try:
                self.found |= {(process.name(), address) for address in listening(process)}
            except psutil.NoSuchProcess:
                continue

    def __getstate__(self) -> dict:
        return {}


def listening(process: psutil.Process) -> list[str]:
    connections = process.net_connections(kind="inet")
    return [c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN or c.type == socket.SOCK_DGRAM]


def loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def test_nothing_listens_beyond_this_machine(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(Path(HERE).parents[1])]))
    seen = Listeners()
    runtime = Runtime(ranks=2, accelerator="cpu", cpus_per_rank=0.5)
    outcome = execute([make_job("sleep-3")], runtime=runtime, callbacks=[seen], stage_function="stages:behave")
    assert outcome.complete
    assert not ray.is_initialized()
    programs = {name for name, _ in seen.found}
    assert {"gcs_server", "raylet"} <= programs, programs
    assert any("Rank" in name for name in programs), programs
    assert {(name, address) for name, address in seen.found if not loopback(address)} == set()
