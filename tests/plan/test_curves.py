"""Curves: on what a target's stage is scored while it trains."""

from collections.abc import Callable
from typing import Any

import pytest

from stilts.errors import Problems
from stilts.experiment.mistakes import InvalidExperiment
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import SHORT
from stilts.plan.cost.estimate import stage_costs
from stilts.plan.expand import Expansion
from stilts.plan.graph import Node
from stilts.plan.todo import Artifact, missing_jobs
from tests.plan.conftest import FakeData, declare

Expand = Callable[..., Expansion]
BEST = {"selection": "best-dev", "epochs": 2, "batch_size": 100}


def _trained(expansion: Expansion) -> dict[str, Node]:
    """The stages that train, by slug."""
    return {node.slug: node for node in expansion.graph.stages()}


def _watched(node: Node) -> list[tuple[str, str, str, int | None]]:
    return [
        (what.evaluation.task, what.evaluation.split, what.evaluation.language, what.examples)
        for what in node.watched.values()
    ]


def test_a_target_is_scored_in_its_languages_but_english(expanded: Expand, data: FakeData) -> None:
    data.absent = {("xnli", "dev", language) for language in ("ar", "bg", "el", "es", "fr", "hi", "ru", "sw", "th")}
    [node] = _trained(expanded(languages=["en"], curves={"examples": 50})).values()
    assert _watched(node) == [("xnli", "dev", language, 50) for language in ("de", "tr", "ur", "vi", "zh")]
    curves = {"languages": ["zh", "de"], "splits": ["dev", "test"]}
    [node] = _trained(expanded(languages=["en"], curves=curves)).values()
    places = [("dev", "zh"), ("dev", "de"), ("test", "zh"), ("test", "de")]
    assert _watched(node) == [("xnli", *place, None) for place in places]


def test_curves_move_no_key(expanded: Expand) -> None:
    fields: dict[str, Any] = {"intermediates": ["none", "mnli"], "targets": ["xnli", "mlqa"]}
    assert list(expanded(curves={}, **fields).graph.nodes) == list(expanded(**fields).graph.nodes)


def test_targets_without_such_data_or_a_stage_of_their_own_have_none(expanded: Expand) -> None:
    targets = ["tatoeba", "tydiqa", "lareqa", "xquad", "mlqa", "udpos"]
    wanted = {"languages": ["en", "de"], "curves": {"languages": ["de"]}, "recipes": {"squad": BEST}}
    nodes = _trained(expanded(targets=targets, intermediates=["mnli"], **wanted))
    found = {slug.rpartition("-")[0]: _watched(node) for slug, node in nodes.items()}
    assert found == {
        "xlm-roberta-large-mnli": [],
        "xlm-roberta-large-mnli-tydiqa": [],
        "xlm-roberta-large-mnli-squad_retrieval": [],
        "xlm-roberta-large-mnli-squad": [("mlqa", "dev", "de", None)],  # and xquad's stage it is too
        "xlm-roberta-large-mnli-udpos": [("udpos", "dev", "de", None)],
    }


def test_a_stage_that_is_trained_is_watched_no_more(expanded: Expand) -> None:
    graph = expanded(curves={"languages": ["de"]}, languages=["en"]).graph
    [node] = graph.stages()
    [job] = [job for key, job in missing_jobs(graph, {}, "/store", Runtime()).items() if key == node.key]
    assert job.watched == tuple(node.watched.values())
    there = {node.key[:SHORT]: Artifact(node.name, trained=True, weights=True)}
    [job] = missing_jobs(graph, there, "/store", Runtime()).values()
    assert (job.trained, job.watched) == (True, ())


def test_curves_are_part_of_the_cost(expanded: Expand) -> None:
    def flops(**fields: Any) -> float:
        expansion = expanded(languages=["en"], recipe={**BEST, "evaluate_every": 3}, **fields)
        jobs = missing_jobs(expansion.graph, {}, "/store", Runtime())
        return stage_costs(expansion.graph, jobs)[next(node.key for node in expansion.graph.stages())].flops

    # 20 steps, with an evaluation after 3, 6, .. 18 and 20, of 1000 rows of 20 tokens in each language.
    one = flops(splits=["test"]) - flops(splits=["dev"])  # test and English dev, against English dev alone
    everything = flops(splits=["test"], curves={"languages": ["de", "zh"]})
    assert everything - flops(splits=["test"]) == pytest.approx(7 * 2 * one)
    part = flops(splits=["test"], curves={"languages": ["de", "zh"], "examples": 100})
    assert part - flops(splits=["test"]) == pytest.approx(7 * 2 * one / 10)
    assert one > 0


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"curves": {"languages": ["qq"]}}, "the experiment has no language 'qq'"),
        ({"curves": {}, "recipe": {"selection": "last"}}, "no target has any: its stage must be evaluated on dev"),
        ({"curves": {}, "targets": ["tatoeba"]}, "no target has any"),
        ({"curves": {"languages": ["el"]}, "targets": ["pawsx"]}, "the experiment has no language 'el'"),
    ],
)
def test_what_cannot_be_is_said(expanded: Expand, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(Problems) as caught:
        expanded(**fields)
    [message] = caught.value.messages
    assert message.startswith(f"curves: {problem}")


@pytest.mark.parametrize(
    ("curves", "problem"),
    [
        ({"languages": ["de", "en"]}, "by English dev the weights are selected"),
        ({"languages": ["de", "de"]}, "'de' is given twice"),
        ({"splits": []}, "curves.splits: is empty"),
        ({"examples": 0}, "greater than 0"),
    ],
)
def test_curves_that_say_nothing_are_refused(curves: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidExperiment, match=problem):
        declare(curves=curves)
