"""Verdicts of every kind of claim, on grids of invented scores."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from stilts.experiment.claims import ClaimDecl
from stilts.experiment.experiment import Experiment
from stilts.identity.stage import Condition
from stilts.plan.claims import claims_of
from stilts.results.claims.table import claims_table
from stilts.results.similarity.distances import installed
from stilts.results.similarity.pretraining import Pretraining
from tests.results.conftest import Grid

LANGUAGES = ("en", "de", "sw", "hi", "tr", "zh", "ru", "fr")
SEEDS = (1, 2, 3, 4, 5)
MEANS = {"none": 60.0, "mnli": 66.0, "squad": 60.2, "worse": 54.0}
SWAP = Condition("swap", 0.1)

Row = dict[str, Any]


def filled(seeds: tuple[int, ...] = SEEDS, spread: float = 0.5, models: tuple[str, ...] = ("base",)) -> Grid:
    """Scores of four regimes on XNLI. Under noise, `none` loses 10 points and the others 5.1 to 5.5. The gains of mnli
    fall in the order of LANGUAGES."""
    grid, chance = Grid(), random.Random(4)
    for model in models:
        for regime, mean in MEANS.items():
            for seed in seeds:
                gain = mean - 60
                of = {
                    language: 60 + gain * (1.5 - i / (len(LANGUAGES) - 1)) + chance.gauss(0, spread)
                    for i, language in enumerate(LANGUAGES)
                }
                scores = {language: {"accuracy": value} for language, value in of.items()}
                loss = 10 if regime == "none" else 5 + seed / 10
                noise = {SWAP: {language: {"accuracy": value - loss} for language, value in of.items()}}
                grid.add(regime, "xnli", seed, scores, model=model, noise=noise)
    return grid


def rows(grid: Grid, claims: Mapping[str, Mapping[str, Any]], models: tuple[str, ...] = ("base",)) -> dict[str, Row]:
    experiment = Experiment(
        name="grid",
        seeds=[1],
        models={model: {"hub": f"some/{model}", "revision": "0" * 40} for model in models},
        intermediates={name: {"stages": [] if name == "none" else [{"task": "mnli"}]} for name in MEANS},
        targets=["xnli"],
        noise={"kinds": ["swap"], "rates": [0.1]},
        claims={name: {"text": name, **claim} for name, claim in claims.items()},
    )
    pretraining = dict.fromkeys(models, Pretraining("xlm-roberta"))
    table = claims_table(grid.table(), claims_of(experiment), pretraining, {})
    return {row["claim"]: row for row in table.to_pylist()}


def verdict(grid: Grid, **claim: Any) -> Row:
    return rows(grid, {"one": claim})["one"]


def difference(regime: str, **says: Any) -> dict[str, Any]:
    return {"difference": {"regime": regime, "target": "xnli", **says}}


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (difference("mnli", above=0), "supported"),
        (difference("mnli", at_least=5), "supported"),
        (difference("mnli", above=8), "contradicted"),
        (difference("mnli", below=0), "contradicted"),
        (difference("mnli", above=6), "undecided"),
        (difference("squad", within=2), "supported"),
        (difference("mnli", within=2), "contradicted"),
        (difference("mnli", near=6, within=3), "supported"),
        (difference("worse", below=0), "supported"),
        (difference("mnli", above=0, against="worse"), "supported"),
    ],
)
def test_a_difference(claim: dict[str, Any], expected: str) -> None:
    found = verdict(filled(), **claim)
    assert found["verdict"] == expected
    assert found["low"] < found["estimate"] < found["high"]
    assert (found["n"], found["planned"], found["unit"], found["of"]) == (5, 5, "points", "seeds")


def test_languages_select_what_is_averaged() -> None:
    gains = {
        name: verdict(filled(), **difference("mnli", above=0, languages=languages))["estimate"]
        for name, languages in (("all", "all"), ("transfer", "transfer"), ("english", ["en"]))
    }
    assert gains["english"] == pytest.approx(9, abs=1)
    assert gains["all"] == pytest.approx(6, abs=0.5)
    assert gains["all"] * 8 == pytest.approx(gains["transfer"] * 7 + gains["english"])


def test_more_claims_widen_every_interval() -> None:
    one = rows(filled(), {"a": difference("mnli", above=0)})["a"]
    ten = rows(filled(), {name: difference("mnli", above=0) for name in "abcdefghij"})["a"]
    assert (one["level"], ten["level"]) == (0.95, pytest.approx(0.995))
    assert ten["high"] - ten["low"] > 1.5 * (one["high"] - one["low"])


def test_one_seed_decides_nothing_and_says_why() -> None:
    found = verdict(filled(seeds=(1,)), **difference("mnli", above=0))
    assert (found["verdict"], found["low"], found["note"]) == ("undecided", None, "one seed shows no spread")
    assert found["estimate"] > 4


def test_no_scores_decide_nothing_and_say_why() -> None:
    found = verdict(Grid([*filled().cells]), **difference("mnli", above=0))
    assert (found["verdict"], found["estimate"], found["n"], found["planned"]) == ("undecided", None, 0, 5)
    assert found["note"] == "no scores yet"
    assert (found["results"], found["results_planned"]) == (0, 2 * 5 * 8)


def test_an_undecided_difference_says_how_many_seeds_would_decide() -> None:
    found = verdict(filled(spread=30), **difference("squad", above=-4))
    assert found["verdict"] == "undecided"
    assert found["seeds_needed"] > 5


def test_a_missing_language_leaves_its_seed_out() -> None:
    grid = filled()
    key = next(k for k in grid.evaluations if k[0] == "base-mnli-xnli-s2")
    del grid.evaluations[key]
    assert verdict(grid, **difference("mnli", above=0))["n"] == 4


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ({"best": "mnli"}, "supported"),
        ({"best": "squad"}, "contradicted"),
        ({"best": "mnli", "among": ["none", "worse"]}, "supported"),
        ({"ranked": ["mnli", "none", "worse"]}, "supported"),
        ({"ranked": ["worse", "none"]}, "contradicted"),
        ({"ranked": ["mnli", "squad", "none"]}, "undecided"),
    ],
)
def test_an_order(order: dict[str, Any], expected: str) -> None:
    found = verdict(filled(), order={"target": "xnli", **order})
    assert found["verdict"] == expected


def test_the_best_of_two_that_hardly_differ_is_undecided() -> None:
    found = verdict(filled(spread=5), order={"target": "xnli", "best": "squad", "among": ["none"]})
    assert found["verdict"] == "undecided"
    assert found["seeds_needed"] > 5


@pytest.mark.parametrize(
    ("share", "expected", "estimate"),
    [
        ({"of": "regimes", "at_least": 0.3}, "supported", 2 / 3),
        ({"of": "regimes", "at_least": 0.9}, "contradicted", 2 / 3),
        ({"of": "regimes", "regimes": ["mnli", "worse"], "near": 0.5, "within": 0.01}, "supported", 1 / 2),
        ({"of": "languages", "regime": "mnli", "above": 0.9}, "supported", 1),
        ({"of": "languages", "regime": "worse", "below": 0.1}, "supported", 0),
        ({"of": "seeds", "regime": "mnli", "above": 0.4}, "supported", 1),
        ({"of": "seeds", "regime": "mnli", "above": 0.9}, "undecided", 1),
    ],
)
def test_a_share(share: dict[str, Any], expected: str, estimate: float) -> None:
    found = verdict(filled(), share={"target": "xnli", **share})
    assert (found["verdict"], found["estimate"], found["unit"]) == (expected, pytest.approx(estimate), "share")


@pytest.mark.parametrize(
    ("ratio", "expected", "estimate"),
    [
        ({"regime": "mnli", "against": "none", "below": 0.6}, "supported", 0.53),
        ({"regime": "mnli", "against": "none", "near": 0.5, "within": 0.02}, "undecided", 0.53),
        ({"regime": "none", "above": 0.1}, "supported", 1 / 6),
        ({"regime": "none", "below": 0.1}, "contradicted", 1 / 6),
    ],
)
def test_a_ratio(ratio: dict[str, Any], expected: str, estimate: float) -> None:
    found = verdict(filled(), ratio={"target": "xnli", "condition": "swap@0.1", **ratio})
    assert (found["verdict"], found["estimate"]) == (expected, pytest.approx(estimate, rel=0.02))


@pytest.mark.skipif(not installed(), reason="lang2vec is not installed")
def test_a_correlation_and_a_difference_of_two() -> None:
    grid = filled(models=("base", "other"))
    claim = {"target": "xnli", "regime": "mnli", "distance": "syntax", "model": "base"}
    claims = {
        "one": {"correlation": {**claim, "within": 0.99}},
        "two": {"correlation": {**claim, "minus_model": "other", "within": 1.9}},
    }
    found = rows(grid, claims, ("base", "other"))
    assert (found["one"]["of"], found["one"]["n"], found["one"]["unit"]) == ("languages", 7, "r")
    assert found["one"]["low"] < found["one"]["estimate"] < found["one"]["high"]
    assert abs(found["two"]["estimate"]) < 0.2
    assert found["two"]["verdict"] == "supported"


def test_what_is_tested_is_said_in_words() -> None:
    found = verdict(filled(), **difference("mnli", above=0, languages="transfer"))
    assert found["tested"] == "mnli less none on xnli, languages transfer, test: above 0"
    assert found["stages"] == sorted(f"base-{regime}-xnli-s{seed}" for regime in ("mnli", "none") for seed in SEEDS)


def test_the_kind_of_a_declaration_is_its_only_one() -> None:
    decl = ClaimDecl(text="x", order={"target": "xnli", "best": "mnli"})
    assert decl.kind == "order"
