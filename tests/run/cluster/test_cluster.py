from pathlib import Path

import pytest
import ray

from stilts.errors import StiltsError
from stilts.experiment.runtime import Runtime
from stilts.run.cluster.cluster import _blind, capacity, check_store, fitting, largest_memory, rank_bundle, use_gpu


def test_trials_are_counted_in_whole_bundles_by_node() -> None:
    nodes = [{"CPU": 3.0}, {"CPU": 3.0}]
    assert fitting({"CPU": 2.0}, 1, nodes, 100) == 2
    assert fitting({"CPU": 2.0}, 2, nodes, 100) == 1
    assert fitting({"CPU": 2.0}, 3, nodes, 100) == 0


def test_the_scarcer_resource_decides() -> None:
    assert fitting({"CPU": 1.0, "GPU": 1.0}, 1, [{"CPU": 64.0, "GPU": 8.0}, {"CPU": 64.0}], 100) == 8


def test_the_limit_holds() -> None:
    assert fitting({"CPU": 1.0}, 1, [{"CPU": 64.0}], 5) == 5


def test_memory_of_a_trial_is_cut_to_what_the_nodes_offer() -> None:
    nodes = [{"CPU": 8.0, "memory": 10e9}, {"CPU": 2.0, "memory": 16e9}]
    assert largest_memory({"CPU": 1.0}, 1, nodes) == 16e9
    assert largest_memory({"CPU": 1.0}, 3, nodes) == 8e9  # two on the second node, one on the first
    assert largest_memory({"CPU": 4.0}, 1, nodes) == 10e9
    assert largest_memory({"CPU": 9.0}, 1, nodes) == 0.0


@pytest.mark.usefixtures("local_ray")
class TestOnThreeCpus:
    def test_as_many_trials_as_fit(self) -> None:
        assert capacity(Runtime(), gpu=False)() == 3
        assert capacity(Runtime(ranks=2), gpu=False)() == 1
        assert capacity(Runtime(max_parallel=2), gpu=False)() == 2

    def test_a_trial_that_never_fits_is_refused_with_both_sides_named(self) -> None:
        with pytest.raises(StiltsError, match=r"4 ranks with 1 CPUs each.*3 CPUs, 0 GPUs"):
            capacity(Runtime(ranks=4), gpu=False)

    def test_memory_bounds_the_number_of_trials(self) -> None:
        offered = ray.cluster_resources()["memory"]
        notes: list[str] = []
        bundle = rank_bundle(Runtime(), False, offered / 2.5, notes.append)
        assert (capacity(Runtime(), False, bundle)(), notes) == (2, [])
        assert rank_bundle(Runtime(), False, 0.0, notes.append) == {"CPU": 1.0}

    def test_an_estimate_that_is_too_large_is_said_and_the_trial_starts_all_the_same(self) -> None:
        offered = ray.cluster_resources()["memory"]
        notes: list[str] = []
        bundle = rank_bundle(Runtime(ranks=2), False, 10 * offered, notes.append)
        assert bundle["memory"] == pytest.approx(offered / 2, abs=1)
        assert capacity(Runtime(ranks=2), False, bundle)() == 1
        assert "tokens_per_micro_batch" in notes[0]

    def test_a_request_that_is_too_large_is_refused(self) -> None:
        with pytest.raises(StiltsError, match=r"memory_per_rank.*99999\.0 GB"):
            rank_bundle(Runtime(memory_per_rank=99999), False, 99999e9, lambda text: None)

    def test_gpus_that_are_not_there_are_refused(self) -> None:
        runtime = Runtime(accelerator="gpu")
        assert use_gpu(runtime)
        with pytest.raises(StiltsError, match=r"1 GPU each.*accelerator to cpu"):
            capacity(runtime, gpu=True)

    def test_auto_takes_the_cpu_where_there_is_no_gpu(self) -> None:
        assert not use_gpu(Runtime(accelerator="auto"))

    def test_a_node_that_does_not_see_the_store_is_named(self, tmp_path: Path) -> None:
        [node] = ray.nodes()
        assert _blind([node], tmp_path) == []
        assert _blind([node], tmp_path / "absent") == [node["NodeManagerAddress"]]

    def test_a_local_store_serves_a_single_machine(self, tmp_path: Path) -> None:
        check_store(str(tmp_path / "store"))
