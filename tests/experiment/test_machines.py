import pytest
from pydantic import ValidationError

from stilts.experiment.machines import Cluster, NodeType
from stilts.experiment.runtime import Runtime


def cluster(**nodes: dict) -> Cluster:
    return Cluster(nodes={name: NodeType(**node) for name, node in nodes.items()})


@pytest.mark.parametrize(
    ("node", "runtime", "places"),
    [
        ({"gpus": 8}, {}, 8),
        ({"gpus": 8, "cpus": 16}, {"cpus_per_rank": 4}, 4),
        ({"gpus": 8, "cpus": 16}, {"accelerator": "cpu"}, 16),
        ({"gpus": 8}, {"accelerator": "cpu"}, 0),
        ({"cpus": 3}, {}, 3),
        ({"cpus": 3}, {"accelerator": "gpu"}, 0),
        ({"cpus": 0.3}, {"cpus_per_rank": 0.1}, 3),
        ({}, {}, 0),
    ],
)
def test_ranks_that_a_node_has_room_for(node: dict, runtime: dict, places: int) -> None:
    assert cluster(n=node).places(Runtime(**runtime)) == {"n": places}


def test_one_gpu_anywhere_makes_it_a_cluster_of_gpus() -> None:
    mixed = cluster(head={"cpus": 8}, worker={"gpus": 1, "cpus": 8})
    assert mixed.places(Runtime()) == {"head": 0, "worker": 1}
    assert mixed.places(Runtime(accelerator="cpu")) == {"head": 8, "worker": 8}


def test_a_cluster_that_is_too_small_is_refused() -> None:
    cluster(n={"gpus": 4, "max_nodes": 2}).check_room(Runtime(ranks=8))
    with pytest.raises(ValueError, match="room for 4 GPU ranks, and a trial has 8"):
        cluster(n={"gpus": 4}).check_room(Runtime(ranks=8))


def test_the_least_is_not_more_than_the_most() -> None:
    with pytest.raises(ValidationError, match="min_nodes is 3"):
        NodeType(gpus=1, min_nodes=3, max_nodes=2)
