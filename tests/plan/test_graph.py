"""The graph of stages, merged by key."""

from pathlib import Path

import pytest

from stilts.experiment.recipe import Recipe
from stilts.identity.stage import BaseSpec, DataRef, Part, StageSpec
from stilts.plan.graph import SLUG_BYTES, Graph, bounded
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


def test_the_names_of_a_long_regime_are_bounded_distinct_and_can_be_written(expanded: Expand, tmp_path: Path) -> None:
    expansion = expanded(intermediates={"long": ["mnli", "squad"] * 22}, targets=["xnli"], seeds=[1])
    names = [node.name for node in expansion.graph]
    assert len(set(names)) == len(names) > 44
    for node in expansion.graph:
        assert node.name.endswith(f"-{node.key[:12]}")
        assert len(node.name.encode()) <= 200
        (tmp_path / node.name).mkdir()
    assert names[1].startswith(f"{names[0].rpartition('-')[0]}-mnli-s1-")


@pytest.mark.parametrize("letter", ["a", "ß", "ไ", "😀"])
def test_a_slug_is_bounded_in_bytes_and_keeps_its_ends(letter: str) -> None:
    slug = f"xlmr-{letter * 300}-xnli-s1"
    short = bounded(slug)
    assert len(short.encode()) <= SLUG_BYTES
    assert short.startswith(f"xlmr-{letter}")
    assert short.endswith("-xnli-s1")
    assert ".." in short
    assert bounded("x" * SLUG_BYTES) == "x" * SLUG_BYTES
