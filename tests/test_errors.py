"""Errors for users."""

import pytest

from stilts.errors import LimitReached, Problems, StiltsError, counted, nearest


def test_problems_list_every_message() -> None:
    assert str(Problems(["a is wrong"])) == "1 problem:\n  - a is wrong"
    several = Problems(iter(["a is wrong", "b is wrong"]))  # type: ignore[arg-type]
    assert str(several) == "2 problems:\n  - a is wrong\n  - b is wrong"
    assert several.messages == ["a is wrong", "b is wrong"]


@pytest.mark.parametrize("error", [Problems, LimitReached])
def test_all_are_errors_of_the_user(error: type[Exception]) -> None:
    assert issubclass(error, StiltsError)


def test_a_hint_names_the_most_similar_name_or_all() -> None:
    assert nearest("xnil", ["pawsx", "xnli"]) == "did you mean 'xnli'?"
    assert nearest("q", ["pawsx", "anli"]) == "valid: anli, pawsx"


def test_one_of_a_noun_has_no_s() -> None:
    assert [counted(count, "column") for count in range(3)] == ["0 columns", "1 column", "2 columns"]
