"""The jobs that a run has to do, for every state of a store. The inventories are made from the graph."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from stilts.experiment.runtime import Runtime
from stilts.identity.stage import SHORT
from stilts.plan.expand import Expansion
from stilts.plan.graph import Node
from stilts.plan.job import StageJob
from stilts.plan.todo import Artifact, artifact_name, missing_jobs

Expand = Callable[..., Expansion]


@pytest.fixture
def grid(expanded: Expand) -> Expansion:
    """base -> xnli; base -> mnli -> xnli."""
    return expanded(intermediates=["none", "mnli"], languages=["en", "sw"])


def _node(expansion: Expansion, tasks: str) -> Node:
    for node in expansion.graph:
        names, here = [], node
        while here.parent is not None:
            names.insert(0, here.spec.parts[0].task)
            here = expansion.graph.nodes[here.parent]
        if " ".join(["base", *names]) == tasks:
            return node
    raise AssertionError(tasks)


def _artifact(node: Node, *, weights: bool | None = None, trained: bool = True, without: int = 0) -> Artifact:
    """As a run leaves it: weights where there are children. `without`: that many evaluations are not there."""
    kept = bool(node.children) if weights is None else weights
    paths = list(node.evaluations)
    return Artifact(node.name, trained, kept, frozenset(paths[: len(paths) - without]))


def _inventory(expansion: Expansion) -> dict[str, Artifact]:
    return {node.key[:SHORT]: _artifact(node) for node in expansion.graph}


def _jobs(expansion: Expansion, inventory: dict[str, Artifact], **runtime: str) -> dict[str, StageJob]:
    jobs = missing_jobs(expansion.graph, inventory, "/store", Runtime(**runtime))
    return {_path(expansion, key): job for key, job in jobs.items()}


def _path(expansion: Expansion, key: str) -> str:
    node = expansion.graph.nodes[key]
    return "base" if node.parent is None else f"{_path(expansion, node.parent)} {node.spec.parts[0].task}"


def test_an_empty_store_lacks_everything_parents_first(grid: Expansion) -> None:
    jobs = _jobs(grid, {})
    assert list(jobs) == ["base", "base xnli", "base mnli", "base mnli xnli"]
    assert not any(job.trained for job in jobs.values())
    assert {path: job.keep_weights for path, job in jobs.items()} == {
        "base": True,
        "base xnli": False,
        "base mnli": True,
        "base mnli xnli": False,
    }
    assert jobs["base mnli xnli"].parent == jobs["base mnli"].name
    assert jobs["base"].parent is None


def test_a_full_store_lacks_nothing(grid: Expansion) -> None:
    assert _jobs(grid, _inventory(grid)) == {}


def test_weights_that_nobody_needs_are_not_made_again(grid: Expansion) -> None:
    inventory = {key: Artifact(a.name, True, False, a.evaluations) for key, a in _inventory(grid).items()}
    assert _jobs(grid, inventory) == {}


def test_weights_that_all_stages_should_keep_are_made_again(grid: Expansion) -> None:
    """A run with `keep: intermediate` left no weights of the targets; `keep: all` on the same store asks for them."""
    jobs = _jobs(grid, _inventory(grid), keep="all")
    assert {path: (job.trained, job.keep_weights) for path, job in jobs.items()} == {
        "base xnli": (False, True),
        "base mnli xnli": (False, True),
    }
    kept = {node.key[:SHORT]: _artifact(node, weights=True) for node in grid.graph}
    assert _jobs(grid, kept, keep="all") == {}
    rounded = {key: replace(artifact, exact=False) for key, artifact in kept.items()}
    assert _jobs(grid, rounded, keep="all", weights="bf16") == {}


def test_a_missing_evaluation_of_a_kept_stage_is_only_evaluated(grid: Expansion) -> None:
    node = _node(grid, "base mnli xnli")
    inventory = _inventory(grid) | {node.key[:SHORT]: _artifact(node, weights=True, without=1)}
    jobs = _jobs(grid, inventory)
    assert list(jobs) == ["base mnli xnli"]
    assert jobs["base mnli xnli"].trained
    assert len(jobs["base mnli xnli"].evaluations) == 1
    assert jobs["base mnli xnli"].keep_weights, "they were there before, perhaps for another experiment"


def test_a_missing_evaluation_without_weights_trains_again(grid: Expansion) -> None:
    node = _node(grid, "base mnli xnli")
    jobs = _jobs(grid, _inventory(grid) | {node.key[:SHORT]: _artifact(node, without=1)})
    assert list(jobs) == ["base mnli xnli"]
    assert not jobs["base mnli xnli"].trained
    assert len(jobs["base mnli xnli"].evaluations) == 1


def test_training_again_brings_back_the_weights_of_all_ancestors(grid: Expansion) -> None:
    inventory = {key: Artifact(a.name, True, False, a.evaluations) for key, a in _inventory(grid).items()}
    node = _node(grid, "base mnli xnli")
    inventory[node.key[:SHORT]] = _artifact(node, without=1)
    jobs = _jobs(grid, inventory)
    assert list(jobs) == ["base", "base mnli", "base mnli xnli"]
    assert jobs["base mnli"].evaluations == ()
    assert jobs["base mnli"].keep_weights


def test_corrupt_weights_of_a_done_intermediate_matter_only_to_a_child_that_trains(grid: Expansion) -> None:
    """`take_inventory(verify=True)` says that they are not there."""
    mnli, child = _node(grid, "base mnli"), _node(grid, "base mnli xnli")
    inventory = _inventory(grid) | {mnli.key[:SHORT]: _artifact(mnli, weights=False)}
    assert _jobs(grid, inventory) == {}
    del inventory[child.key[:SHORT]]
    assert list(_jobs(grid, inventory)) == ["base mnli", "base mnli xnli"]


def test_weights_without_a_record_do_not_count(grid: Expansion) -> None:
    mnli, child = _node(grid, "base mnli"), _node(grid, "base mnli xnli")
    inventory = _inventory(grid) | {mnli.key[:SHORT]: _artifact(mnli, trained=False, weights=True)}
    del inventory[child.key[:SHORT]]
    jobs = _jobs(grid, inventory)
    assert list(jobs) == ["base mnli", "base mnli xnli"]
    assert not jobs["base mnli"].trained


def test_a_run_that_failed_halfway_goes_on_with_what_failed(grid: Expansion) -> None:
    """Of mnli there is nothing but a failure (an artifact that holds nothing), and of its child nothing at all."""
    mnli, child = _node(grid, "base mnli"), _node(grid, "base mnli xnli")
    inventory = _inventory(grid) | {mnli.key[:SHORT]: Artifact(mnli.name)}
    del inventory[child.key[:SHORT]]
    assert list(_jobs(grid, inventory)) == ["base mnli", "base mnli xnli"]


@pytest.mark.parametrize("change", [{"targets": ["xnli", "pawsx"]}, {"seeds": [1, 2]}])
def test_an_extended_grid_does_only_what_is_new(expanded: Expand, grid: Expansion, change: dict) -> None:
    larger = expanded(**{"intermediates": ["none", "mnli"], "languages": ["en", "sw"], **change})
    jobs = missing_jobs(larger.graph, _inventory(grid), "/store", Runtime())
    assert set(jobs) == set(larger.graph.nodes) - set(grid.graph.nodes)


def test_a_new_retrieval_target_evaluates_kept_stages_only(expanded: Expand, grid: Expansion) -> None:
    larger = expanded(intermediates=["none", "mnli"], targets=["xnli", "tatoeba"], languages=["en", "sw"])
    jobs = _jobs(larger, _inventory(grid))
    assert list(jobs) == ["base", "base mnli"]
    assert all(job.trained and [e.task for e in job.evaluations] == ["tatoeba"] for job in jobs.values())


def test_another_experiments_name_is_used_for_the_same_key(grid: Expansion) -> None:
    base, child = _node(grid, "base"), _node(grid, "base xnli")
    theirs = f"their-slug-{base.key[:SHORT]}"
    inventory = {base.key[:SHORT]: Artifact(theirs, True, True)}
    jobs = _jobs(grid, inventory)
    assert jobs["base xnli"].parent == theirs
    assert artifact_name(base, inventory) == theirs
    assert artifact_name(child, inventory) == child.name


@pytest.mark.parametrize(
    ("keep", "leaf", "inner"), [("all", True, True), ("intermediate", False, True), ("none", False, True)]
)
def test_what_is_kept(grid: Expansion, keep: str, leaf: bool, inner: bool) -> None:
    """`none` drops them at the end: while the run lasts, children start from them."""
    jobs = _jobs(grid, {}, keep=keep)
    assert jobs["base mnli xnli"].keep_weights is leaf
    assert jobs["base mnli"].keep_weights is inner


def test_rounded_weights_serve_evaluations_and_no_child(expanded: Expand, grid: Expansion) -> None:
    """`weights: bf16`: what was only kept to be used is trained again before another stage continues from it."""
    node = _node(grid, "base mnli")
    rounded = replace(_artifact(node), exact=False)
    inventory = _inventory(grid) | {node.key[:SHORT]: rounded}
    assert _jobs(grid, inventory) == {}
    child = _node(grid, "base mnli xnli")
    used = replace(_artifact(child, weights=True, without=1), exact=False)
    lacking = inventory | {child.key[:SHORT]: used}
    assert [(path, job.trained) for path, job in _jobs(grid, lacking).items()] == [("base mnli xnli", True)]
    lacking = inventory | {child.key[:SHORT]: Artifact(child.name)}
    assert [(path, job.trained) for path, job in _jobs(grid, lacking).items()] == [
        ("base mnli", False),
        ("base mnli xnli", False),
    ]


def test_only_what_nothing_continues_from_is_rounded(grid: Expansion) -> None:
    jobs = _jobs(grid, {}, weights="bf16", keep="all")
    assert {path: job.rounds_weights for path, job in jobs.items()} == {
        "base": False,
        "base xnli": True,
        "base mnli": False,
        "base mnli xnli": True,
    }
    assert not any(job.rounds_weights for job in _jobs(grid, {}).values())
