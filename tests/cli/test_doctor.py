"""doctor."""

import json

from tests.cli.conftest import Run


def test_doctor_examines(stilts: Run) -> None:
    code, out, _ = stilts("doctor", "--store", "store", "--json")
    found = {finding["check"]: finding for finding in json.loads(out)}
    assert code == 0
    assert found["store"]["state"] == "ok"
    assert {"torch", "GPUs", "DeepSpeed ops", "disk", "Ray"} <= set(found)
