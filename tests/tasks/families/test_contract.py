"""The contract of families: each is complete, and nothing else branches on their names."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import stilts
from stilts.errors import StiltsError
from stilts.tasks.base import all_tasks
from stilts.tasks.families import Family, Procedure, all_families, get_family
from stilts.tasks.families.registry import register as register_family
from stilts.train.heads import FamilyHead, head_of
from stilts.train.heads.registry import _HEADS
from stilts.train.heads.registry import register as register_head

ROOT = Path(stilts.__file__).parent
OWN = (ROOT / "tasks" / "families", ROOT / "train" / "heads", ROOT / "tasks" / "library")
FAMILIES = sorted(all_families())
ELSEWHERE = {"classification", "tagging", "retrieval", "mlm", "srl"}
"""Names that are also those of benchmark groups, tasks or file formats, so that the bare word proves nothing."""


def _sources() -> Iterator[Path]:
    return (path for path in ROOT.rglob("*.py") if not any(path.is_relative_to(own) for own in OWN))


def _of_family(node: ast.AST) -> bool:
    """Whether an expression is a family's name: `x.family` or `family`."""
    return (isinstance(node, ast.Attribute) and node.attr == "family") or (
        isinstance(node, ast.Name) and node.id == "family"
    )


def _named(node: ast.AST) -> set[str]:
    return {child.value for child in ast.walk(node) if isinstance(child, ast.Constant)} & set(FAMILIES)


def _branches(source: str) -> Iterator[int]:
    """Lines that compare a family's name, use it as an index, or mention one that means nothing else."""
    for node in ast.walk(ast.parse(source)):
        compared = isinstance(node, ast.Compare) and any(map(_of_family, [node.left, *node.comparators]))
        indexed = isinstance(node, ast.Subscript) and _of_family(node.slice)
        matched = isinstance(node, ast.Match) and _of_family(node.subject)
        called = isinstance(node, ast.Call) and any(map(_of_family, node.args)) and ast.unparse(node).find(".get(") > 0
        mentioned = isinstance(node, ast.Constant) and node.value in set(FAMILIES) - ELSEWHERE
        if (compared and _named(node)) or indexed or matched or called or mentioned:
            yield node.lineno


@pytest.mark.parametrize(
    "source",
    [
        "task.family == 'tagging'",
        "task.family in ('srl', 'mlm')",
        "TABLE[task.family]",
        "TABLE.get(task.family, 'tsv')",
        "match spec.family:\n    case 'mlm':\n        pass",
        "SUFFIXES = {'span_qa': 'json'}",
    ],
)
def test_a_branch_is_found(source: str) -> None:
    assert list(_branches(source))


def test_nothing_else_branches_on_the_name_of_a_family() -> None:
    found = [f"{path.relative_to(ROOT)}:{line}" for path in _sources() for line in _branches(path.read_text())]
    assert not found, "ask the family (tasks/families/base.py) or its head (train/heads/base.py) instead"


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_complete(name: str) -> None:
    family, head = get_family(name), head_of(name)
    assert family.name == name == head.family
    for method in ("validate", "encode", "gold", "from_hub"):
        given = getattr(type(family), method) is not getattr(Family, method)
        assert given or (method == "from_hub" and not _on_the_hub(name)), f"{name} has no {method}"
    for method in ("module", "targets"):
        assert getattr(type(head), method) is not getattr(FamilyHead, method), f"the head of {name} has no {method}"
    columns = {column for scope in family.noise.values() for column in scope}
    assert columns | {family.gold_column, family.label_column} - {None} <= set(family.schema.names)
    assert not family.noise or "all" in family.noise


@pytest.mark.parametrize("name", sorted(name for name, task in all_tasks().items() if task.splits))
def test_tasks_that_are_evaluated_have_predictions(name: str) -> None:
    task = all_tasks()[name]
    family = get_family(task.family)
    assert family.file(task).suffix in ("tsv", "json", "jsonl")
    if family.procedure(task, task.settings) is Procedure.DECODE:
        assert type(family).decode is not Family.decode


def test_a_name_is_given_once() -> None:
    with pytest.raises(StiltsError, match="two families are called 'tagging'"):
        register_family(get_family("tagging"))
    with pytest.raises(StiltsError, match="'tagging' has two heads"):
        register_head(head_of("tagging"))


def test_a_family_without_a_head_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    head_of("tagging")
    monkeypatch.delitem(_HEADS, "tagging")
    with pytest.raises(StiltsError, match="'tagging' has no head; add a file to train/heads"):
        head_of("tagging")


def _on_the_hub(family: str) -> bool:
    return any(task.family == family and task.hub is not None for task in all_tasks().values())
