"""For a choice of values, a search trains the same stages as the experiment with the corresponding patch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stilts.errors import StiltsError
from stilts.experiment.load import load_experiment, to_yaml
from stilts.experiment.search import Tuning
from stilts.plan.expand import expand
from stilts.search.subject import Subject
from tests.plan.conftest import HUB, FakeData, declare

MakeSubject = Callable[..., Subject]
RATES = {"low": 1e-5, "high": 1e-3, "log": True}
MIXED = {"stages": [{"task": "squad"}, {"mix": {"tasks": {"mnli": {}, "mlm": {"probability": 0.3}}}}]}


@pytest.fixture
def subject(data: FakeData) -> MakeSubject:
    def make(search: dict[str, Any], **fields: Any) -> Subject:
        plain = declare(**fields).model_dump(mode="json")
        return Subject(Tuning.model_validate_json(json.dumps({**plain, "search": search})), data)

    return make


def said(subject: Subject) -> str:
    with pytest.raises(StiltsError) as caught:
        subject.check()
    return str(caught.value)


@pytest.mark.parametrize(
    ("search", "values", "fields"),
    [
        ({"target": "xnli", "space": {"learning_rate": RATES}}, {"learning_rate": 3e-4}, {}),
        ({"target": "xquad", "intermediate": "mnli", "space": {"warmup": RATES}}, {"warmup": 1e-4}, {}),
        ({"intermediate": "mnli", "space": {"batch_size": {"low": 8, "high": 64}}}, {"batch_size": 13}, {}),
        (
            {"intermediate": "mixed", "space": {"cap": {"low": 1, "high": 9}}},
            {"cap": 5, "probabilities.mlm": 0.2, "learning_rate": 2e-5},
            {},
        ),
        ({"intermediate": "mixed", "stage": 0, "space": {"epochs": {"choices": [1, 2]}}}, {"epochs": 2}, {}),
        ({"intermediate": "own", "space": {"learning_rate": RATES}}, {"learning_rate": 1e-4}, {}),
    ],
)
def test_an_experiment_with_the_patch_has_the_stages_that_were_tuned(
    subject: MakeSubject, data: FakeData, tmp_path: Path, search: dict, values: dict, fields: dict
) -> None:
    """As a file laid over the experiment's (`--with`), which is what a person does with the best recipe."""
    regimes = {"none": [], "mnli": ["mnli"], "mixed": MIXED, "own": [{"task": "ccg", "recipe": {"epochs": 5}}]}
    given = {"name": "test", "seeds": [4, 7], "models": {"large": HUB}, "intermediates": regimes}
    given |= {"targets": ["xnli", "xquad"], **fields}
    found = subject({**search, "seeds": [4, 7]}, **given).configure(values)
    (tmp_path / "experiment.yaml").write_text(to_yaml(given))
    (tmp_path / "best.yaml").write_text(to_yaml(found.patch))
    experiment = load_experiment(tmp_path / "experiment.yaml", patches=[tmp_path / "best.yaml"])
    assert set(found.stages) <= set(expand(experiment, data).graph.nodes)
    assert [spec.recipe.seed for spec in found.specs] == [4, 7]
    plain = {name: value for name, value in values.items() if name in type(found.specs[0].recipe).model_fields}
    assert plain.items() <= found.specs[0].recipe.model_dump().items()


def test_nothing_beyond_the_stage_is_trained_or_evaluated(subject: MakeSubject) -> None:
    found = subject(
        {"intermediate": "mnli", "space": {"learning_rate": RATES}}, intermediates=["none", "mnli", "squad"]
    )
    graph = found.default.expansion.graph
    assert [node.name.rpartition("-")[0] for node in graph] == ["xlm-roberta-large", "xlm-roberta-large-mnli-s1"]
    assert not any(node.evaluations for node in graph)


def test_the_shares_of_a_mixture_are_set_where_they_stand(subject: MakeSubject) -> None:
    search = {"intermediate": "mixed", "space": {"probabilities": {"mlm": {"low": 0.1, "high": 0.4}}}}
    found = subject(search, intermediates={"mixed": MIXED})
    assert found.own_values() == {"probabilities.mlm": 0.3}
    mixing = found.configure({"probabilities.mlm": 0.25, "sampling": "uniform"}).specs[0].mixing
    assert mixing is not None
    assert (mixing.probabilities, mixing.sampling) == ({"mlm": 0.25}, "uniform")


def test_the_experiments_own_recipe_is_known_where_the_space_holds_it(subject: MakeSubject) -> None:
    own = {"recipe": {"learning_rate": 1e-4, "batch_size": 16}}
    search = {"target": "xnli", "space": {"learning_rate": RATES, "batch_size": {"choices": [8, 16]}}}
    assert subject(search, **own).own_values() == {"learning_rate": 1e-4, "batch_size": 16}
    assert subject({**search, "space": {"batch_size": {"choices": [8, 32]}}}, **own).own_values() is None


@pytest.mark.parametrize(
    ("search", "fields", "message"),
    [
        ({"target": "xnly"}, {}, "search.target: the experiment has no 'xnly'; did you mean 'xnli'?"),
        ({"intermediate": "mnlj"}, {}, "search.intermediate: the experiment has no 'mnlj'"),
        ({"intermediate": "mnli", "stage": 1}, {}, "search.stage: mnli has 1 stage,"),
        ({"intermediate": "none"}, {}, "search.stage: none has 0 stages"),
        ({"target": "xnli"}, {"models": {"a": HUB, "b": HUB}}, "search.model: the experiment has several: a, b"),
    ],
)
def test_a_search_of_what_is_not_there_is_refused(
    subject: MakeSubject, search: dict, fields: dict, message: str
) -> None:
    with pytest.raises(StiltsError, match=message.replace("?", r"\?")):
        subject({"space": {"learning_rate": RATES}, **search}, **{"intermediates": ["none", "mnli"], **fields})


@pytest.mark.parametrize(
    ("space", "fields", "message"),
    [
        ({"learning_rate": RATES}, {"recipe": {"selection": "last"}}, "set recipe: {selection: best-dev}"),
        ({"cap": {"low": 1, "high": 9}}, {}, "search.space.cap: xnli is trained alone"),
        ({"epochs": {"low": 1, "high": 9}}, {"recipe": {"max_steps": 9}}, "search.space.epochs: the experiment gives"),
        (
            {"stride": {"low": 50, "high": 200}},
            {"targets": ["xquad"], "recipes": {"squad": {"max_length": 200, "stride": 100, "selection": "best-dev"}}},
            "search.space.stride: 200: targets.xquad: recipe of squad: stride 200 must be smaller than max_length",
        ),
    ],
)
def test_what_cannot_be_tuned_is_told_before_anything_trains(
    subject: MakeSubject, space: dict, fields: dict, message: str
) -> None:
    target = fields.get("targets", ["xnli"])[0]
    assert message in said(subject({"target": target, "space": space}, **fields))


def test_a_budget_overrules_the_length_of_a_stage(subject: MakeSubject) -> None:
    regimes = {"both": {"stages": ["mnli", "squad"], "budget": {"steps": 100}}}
    search = {"intermediate": "both", "space": {"max_steps": {"low": 5, "high": 9}}}
    found = subject(search, intermediates=regimes, recipe={"selection": "best-dev"})
    assert "search.space.max_steps" in said(found)


def test_a_recipe_that_an_earlier_stage_shares_is_refused(subject: MakeSubject) -> None:
    """Each configuration would train its own intermediate stage, and be judged by both."""
    search = {"target": "xnli", "intermediate": "same", "space": {"learning_rate": RATES}}
    message = said(subject(search, intermediates={"same": ["xnli"]}))
    assert "is also that of a stage before" in message


@pytest.mark.parametrize(
    ("target", "message"),
    [("tatoeba", "trains nothing"), ({"task": "xnli", "setting": "translate-train"}, "language by language")],
)
def test_a_target_without_one_stage_is_refused(subject: MakeSubject, data: FakeData, target: Any, message: str) -> None:
    targets = {"t": target if isinstance(target, dict) else {"task": target}}
    with pytest.raises(StiltsError, match=message):
        _ = subject({"target": "t", "space": {"learning_rate": RATES}}, targets=targets).default
