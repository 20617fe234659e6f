"""doctor."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_doctor_examines(stilts: Run, tmp_path: Path) -> None:
    code, out, _ = stilts("doctor", "--store", "store", "--json")
    found = {finding["check"]: finding for finding in json.loads(out)}
    assert code == 0
    assert found["store"]["state"] == "ok"
    assert {"torch", "GPUs", "DeepSpeed ops", "disk", "Ray", "memory", "temporary space", "hub"} <= set(found)
    assert all(finding["remedy"] for finding in found.values() if finding["state"] != "ok")
    assert list(tmp_path.iterdir()) == []


def test_doctor_looks_at_what_an_experiment_declares(stilts: Run, experiment: Path) -> None:
    code, out, _ = stilts("doctor", "--json", "-e", experiment, "--study", f"sqlite:///{experiment.parent}/study.db")
    found = {finding["check"]: finding["found"] for finding in json.loads(out)}
    assert code == 0
    assert f"{experiment.parent}/store does not exist yet" in found["store"]
    assert "study.db does not exist yet" in found["study"]


def test_doctor_tells_what_to_do(stilts: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    code, out, _ = stilts("doctor")
    assert code == 1
    assert "http://127.0.0.1:8265" in out
    assert "->" in out
