"""The graph of stages, merged by key."""

import pytest

from stilts.experiment.recipe import Recipe
from stilts.identity.stage import BaseSpec, DataRef, Part, StageSpec
from stilts.plan.graph import Graph
from tests.plan.conftest import NINE, Expand


def test_parents_stand_before_children(expanded: Expand) -> None:
    expansion = expanded(intermediates={"a": ["mnli", "squad"], "b": ["squad"]}, targets=NINE, seeds=[1, 2])
    seen: set[str] = set()
    for node in expansion.graph:
        assert node.parent is None or node.parent in seen
        seen.add(node.key)
        assert all(expansion.graph.nodes[child].parent == node.key for child in node.children)
    assert sum(node.uses for node in expansion.graph) == sum(len(cell.stages) for cell in expansion.cells)


def _stage(parent: str, task: str = "xnli") -> StageSpec:
    ref = DataRef(task, "train", "en", f"sha256:{task}")
    recipe = Recipe(learning_rate=1e-5, epochs=1, batch_size=8)
    return StageSpec(parent, (Part(task, 1, (ref,), None, recipe),), None, recipe)


def test_equal_specs_are_one_node_and_keep_the_first_name() -> None:
    graph = Graph()
    base = graph.add(BaseSpec({"hub": "a/b", "revision": "c"}), "b")
    first, again = graph.add(_stage(base.key), "b-xnli"), graph.add(_stage(base.key), "other")
    assert first is again
    assert (first.slug, first.parent, base.parent) == ("b-xnli", base.key, None)
    assert base.children == [first.key]
    graph.add(_stage(base.key, "pawsx"), "b-pawsx")
    assert [node.slug for node in graph] == ["b", "b-xnli", "b-pawsx"]
    assert [node.slug for node in graph.stages()] == ["b-xnli", "b-pawsx"]
    assert first.name == f"b-xnli-{first.key[:12]}"


def test_a_stage_without_its_parent_cannot_be_added() -> None:
    with pytest.raises(KeyError):
        Graph().add(_stage("0" * 64), "orphan")
