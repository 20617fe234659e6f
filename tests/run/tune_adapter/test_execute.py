"""Errors of Ray Tune's own loop."""

import pytest
from ray import tune

from stilts.errors import StiltsError
from stilts.run.tune_adapter.execute import told


def test_an_error_of_python_in_rays_own_code_is_told_as_a_failure_of_the_cluster() -> None:
    with pytest.raises(StiltsError, match=r"ValueError: .* \(ray/.*\.py:\d+\)\. What is stored is safe"), told():
        tune.PlacementGroupFactory([])


def test_an_error_of_ours_stays_what_it_is() -> None:
    with pytest.raises(IndexError), told():
        raise IndexError("ours")
    with pytest.raises(StiltsError, match=r"^ours$"), told():
        raise StiltsError("ours")
