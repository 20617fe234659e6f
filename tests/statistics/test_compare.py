"""Holm's adjustment: a worked example, its properties, and the step-down procedure itself."""

import numpy as np
import pytest

from stilts.statistics.compare import adjust, holm


def test_a_worked_example():
    """0.01, 0.04, 0.03, 0.005: sorted, times 4, 3, 2, 1, and never less than the one before (R: p.adjust, "holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_between_the_plain_p_and_bonferroni_and_keeps_their_order():
    random = np.random.default_rng(3)
    for size in (1, 2, 7, 50):
        p = random.uniform(size=size) ** 3
        adjusted = np.array(holm(p.tolist()))
        assert (adjusted >= p).all()
        assert (adjusted <= np.minimum(1, size * p)).all()
        assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
        assert adjusted.min() == pytest.approx(min(1, size * p.min()))


def test_rejections_are_those_of_the_step_down_procedure():
    random = np.random.default_rng(5)
    for _ in range(50):
        p = random.uniform(size=9) ** 4
        rejected = 0
        for rank, value in enumerate(sorted(p)):
            if value > 0.05 / (9 - rank):
                break
            rejected += 1
        assert sum(value <= 0.05 for value in holm(p.tolist())) == rejected


def test_what_made_no_test_is_not_of_the_family():
    assert adjust({"a": 0.02, "b": None, "c": 0.5}) == {"a": pytest.approx(0.04), "c": 0.5}
    assert adjust({"a": None}) == {}
