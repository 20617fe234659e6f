"""Claims as they are declared: kinds, statements and their mistakes."""

from typing import Any

import pytest
from pydantic import ValidationError

from stilts.experiment.claims import ClaimDecl, Correlation, Difference, Order, Ratio, Share

DIFFERENCE = {"regime": "squad", "target": "tydiqa"}


@pytest.mark.parametrize(
    ("says", "ends", "words"),
    [
        ({"above": 0}, (0, float("inf")), "above 0"),
        ({"at_most": 2.5}, (float("-inf"), 2.5), "at most 2.5"),
        ({"at_least": -1, "below": 1}, (-1, 1), "at least -1 and below 1"),
        ({"within": 1}, (-1, 1), "within 1 of 0"),
        ({"near": 8.2, "within": 2}, (pytest.approx(6.2), pytest.approx(10.2)), "within 2 of 8.2"),
    ],
)
def test_a_statement_is_a_region(says: dict[str, float], ends: tuple, words: str) -> None:
    found = Difference(**DIFFERENCE, **says)
    assert (found.ends, found.words) == (ends, words)


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({}, "give what it says"),
        ({"above": 0, "at_least": 0}, "one of above and at_least"),
        ({"above": 1, "below": 1}, "no value lies above 1 and below 1"),
        ({"near": 3}, "near needs within"),
        ({"within": 1, "above": 0}, "not both"),
        ({"within": 0}, "greater than 0"),
    ],
)
def test_a_statement_without_a_region_is_refused(says: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Difference(**DIFFERENCE, **says)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Order, {"target": "xnli"}, "give best or ranked"),
        (Order, {"target": "xnli", "best": "a", "ranked": ["a", "b"]}, "give best or ranked"),
        (Order, {"target": "xnli", "ranked": ["a", "b"], "among": ["c"]}, "among belongs to best"),
        (Order, {"target": "xnli", "ranked": ["a", "a"]}, "given twice"),
        (Share, {"target": "xnli", "of": "regimes", "regime": "a", "at_least": 0.5}, "takes regimes"),
        (Share, {"target": "xnli", "of": "seeds", "at_least": 0.5}, "takes regime: NAME"),
        (Share, {"target": "xnli", "of": "regimes", "at_least": 2}, "between 0 and 1"),
        (Ratio, {"target": "xnli", "regime": "a", "below": 1}, "give condition"),
        (Correlation, {"target": ["a", "b"], "regime": "a", "distance": "syntax", "below": 0}, "one target"),
    ],
)
def test_what_a_kind_does_not_have_is_refused(kind: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        kind(**fields)


@pytest.mark.parametrize("kinds", [(), ("difference", "order")])
def test_a_claim_has_one_kind(kinds: tuple[str, ...]) -> None:
    given = {"difference": {**DIFFERENCE, "above": 0}, "order": {"target": "xnli", "best": "mnli"}}
    with pytest.raises(ValidationError, match="give one of difference, order"):
        ClaimDecl(text="SQuAD helps.", **{kind: given[kind] for kind in kinds})
