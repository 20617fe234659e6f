"""Shares and schedules of a mixture, against numbers worked out by hand."""

import numpy as np
import pytest

from stilts.data.mixing import epoch_items, own_steps, schedule, shares
from stilts.errors import Problems, StiltsError
from stilts.identity.stage import Mixing

SIZES = {"mnli": 400, "squad": 100, "qqp": 300}


def mixing(
    sampling: str = "proportional", cap: int = 2**17, temperature: float = 2.0, **probabilities: float
) -> Mixing:
    return Mixing(sampling=sampling, cap=cap, temperature=temperature, probabilities=probabilities)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (mixing(), [0.5, 0.125, 0.375]),
        (mixing(cap=200), [0.4, 0.2, 0.4]),
        (mixing(cap=1), [1 / 3] * 3),
        (mixing("uniform"), [1 / 3] * 3),
        (mixing("temperature", temperature=1), [0.5, 0.125, 0.375]),
        # square roots 20, 10 and 17.3205; capped at 225: 15, 10, 15
        (mixing("temperature"), [20 / 47.32051, 10 / 47.32051, 17.32051 / 47.32051]),
        (mixing("temperature", cap=225), [0.375, 0.25, 0.375]),
        (mixing(squad=0.2), [0.8 * 4 / 7, 0.2, 0.8 * 3 / 7]),
        (mixing("uniform", squad=0.5, qqp=0.1), [0.4, 0.5, 0.1]),
        (mixing(mnli=0.5, squad=0.25, qqp=0.25), [0.5, 0.25, 0.25]),
    ],
)
def test_shares(rule: Mixing, expected: list[float]) -> None:
    found = shares(SIZES, rule)
    assert list(found) == list(SIZES)
    assert list(found.values()) == pytest.approx(expected, abs=1e-7)
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (mixing(squad=0.5, mnli=0.5), "add up to 1 and leave nothing for qqp"),
        (mixing(squad=0.5, mnli=0.25, qqp=0.1), "add up to 0.85, not to 1"),
        (mixing(sqad=0.5), "did you mean 'squad'"),
    ],
)
def test_probabilities_that_do_not_add_up_are_told(rule: Mixing, message: str) -> None:
    with pytest.raises(Problems, match=message):
        shares(SIZES, rule)


def epoch(sizes: dict[str, int], rule: Mixing) -> float:
    return epoch_items(sizes, shares(sizes, rule), rule)


def test_an_epoch_is_the_sum_of_the_capped_sizes() -> None:
    assert epoch(SIZES, mixing()) == pytest.approx(800)
    assert epoch(SIZES, mixing("uniform", cap=150)) == pytest.approx(400)
    assert epoch(SIZES, mixing(mnli=0.5, squad=0.25, qqp=0.25)) == pytest.approx(800)


def test_what_is_interleaved_at_a_probability_makes_the_epoch_longer() -> None:
    sizes = {"mnli": 400, "mlm": 10**7}
    assert epoch(sizes, mixing(mlm=0.5)) == pytest.approx(800)
    assert epoch(sizes, mixing(mlm=0.2)) == pytest.approx(500)


def test_a_schedule_holds_the_exact_shares_in_an_order_of_the_seed() -> None:
    found = shares(SIZES, mixing())
    order = schedule(found, 80, seed=3)
    assert np.bincount(order).tolist() == [40, 10, 30]
    assert (order == schedule(found, 80, seed=3)).all()
    assert (order != schedule(found, 80, seed=4)).any()
    assert set(order[:40]) == set(order[40:]) == {0, 1, 2}


def test_remainders_of_a_step_go_to_the_largest() -> None:
    assert np.bincount(schedule({"a": 0.5, "b": 0.3, "c": 0.2}, 7, 0)).tolist() == [4, 2, 1]  # 3.5, 2.1, 1.4


def test_a_schedule_has_not_changed_since_the_first_artifacts() -> None:
    assert schedule({"a": 0.5, "b": 0.25, "c": 0.25}, 8, seed=0).tolist() == [0, 0, 0, 2, 0, 1, 1, 2]


def test_a_task_without_a_step_is_told() -> None:
    with pytest.raises(StiltsError, match="c gets none of 5 steps"):
        schedule({"a": 0.6, "b": 0.39, "c": 0.01}, 5, 0)


def test_steps_of_a_task_are_numbered() -> None:
    assert own_steps(np.array([0, 1, 0, 0, 2, 1])).tolist() == [0, 0, 1, 2, 0, 1]
