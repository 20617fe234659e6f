"""Spans under edits, by hand."""

import pytest

from stilts.data.noise.edits import Edit, Edited
from stilts.data.noise.units import Units


def edited(text: str, *edits: Edit) -> Edited:
    return Edited(Units.of([text]), edits)


def moved(found: Edited, start: int, end: int) -> str:
    return found.text[slice(*found.span(start, end))]


def test_insertions_and_drops_before_and_within_a_span() -> None:
    found = edited("in Berlin now", Edit(0, ("ix",)), Edit(4, ("",)), Edit(8, ("nx",)), Edit(10, ("",)))
    assert found.text == "ixn Brlinx ow"
    assert moved(found, 3, 9) == "Brlinx"
    assert moved(found, 0, 2) == "ixn"
    assert moved(found, 10, 13) == "ow"


def test_a_swap_over_a_border_takes_in_the_pair() -> None:
    found = edited("北京是市", Edit(1, ("是", "京"), tied=True))
    assert found.text == "北是京市"
    assert moved(found, 0, 2) == "北是京"
    assert moved(found, 2, 4) == "是京市"
    assert moved(found, 0, 1) == "北"


def test_a_border_within_a_cluster() -> None:
    text = "किताब"  # ki-taa-b; the span ends before the vowel sign of the second cluster
    assert moved(edited(text), 0, 3) == text[:3]
    assert moved(edited(text, Edit(2, ("म",))), 0, 3) == text[:3]
    assert moved(edited(text, Edit(1, ("ना",))), 0, 3) == "किना"


def test_without_withdraws_what_touches_the_span() -> None:
    found = edited("abc def", Edit(0, ("",)), Edit(4, ("",)), Edit(5, ("",)))
    assert found.without(4, 5).text == "bc df"
    assert found.without(4, 7).text == "bc def"


def test_counts() -> None:
    found = edited("ab cd", Edit(0, ("b", "a"), tied=True), Edit(3, ("",)))
    assert (found.changed, found.characters) == (3, 4)


@pytest.mark.parametrize("tokens", [["a"], ["New", "York", "."], ["", "x"], ["की", "तब"]])
def test_tokens_come_back(tokens: list[str]) -> None:
    assert Edited(Units.of(tokens)).tokens == tokens
