"""The doctor looks at the nodes of a cluster."""

import contextlib

import pytest

from stilts.monitor import services
from stilts.run.cluster.connect import await_cluster
from stilts.run.cluster.probe import examine_cluster
from tests.own_ray import OwnRay

pytestmark = pytest.mark.slow


def test_nodes_are_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with contextlib.closing(OwnRay()) as head:
        head.start(["--num-cpus=1", "--include-dashboard=false"], {})
        monkeypatch.setenv("RAY_ADDRESS", head.address)

        await_cluster(head.address)
        found = examine_cluster()
        assert found.resources["CPU"] == 1
        assert len(found.clocks) == 1
        assert max(abs(ahead) for ahead in found.clocks.values()) < 1 + found.error
        assert (found.blocked, found.silent) == ([], [])
        told = {one.check: one for one in services.ray_findings(head.address)}
        assert told["Ray"].state == told["cluster clocks"].state == "ok"
