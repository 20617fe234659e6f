"""The collector of mistakes."""

import pytest

from stilts.errors import Problems, StiltsError
from stilts.plan.problems import Collector


def _fail(*messages: str) -> None:
    raise Problems(messages) if len(messages) > 1 else StiltsError(messages[0])


def test_all_mistakes_are_raised_at_once_with_their_places() -> None:
    collector = Collector()
    collector.add("a", "is wrong")
    assert collector.attempt("b", _fail, "one", "two") is None
    assert collector.attempt("c", len, "four") == 4
    with pytest.raises(Problems) as caught:
        collector.close()
    assert caught.value.messages == ["a: is wrong", "b: one", "b: two"]


def test_a_mistake_met_again_is_collected_once_unless_it_is_repeated() -> None:
    collector = Collector()
    for where in ("a", "b"):
        collector.attempt(where, _fail, "the file is broken")
    collector.attempt("c", _fail, "the file is broken", repeat=True)
    assert collector.messages == ["a: the file is broken", "c: the file is broken"]


def test_mistakes_of_a_place_include_those_inside_it() -> None:
    collector = Collector()
    assert not collector.at("targets.x")
    collector.close()
    collector.add("targets.x.settings", "is wrong")
    assert collector.at("targets.x")
    assert not collector.at("targets.y")


def test_what_is_no_mistake_of_the_user_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        Collector().attempt("a", divmod, 1, 0)
