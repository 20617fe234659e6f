"""The job of one stage: what its trial has to do."""

import pickle
from dataclasses import replace

import pytest

from stilts.experiment.runtime import Runtime
from stilts.plan.todo import missing_jobs
from tests.plan.conftest import Expand


@pytest.mark.parametrize(
    ("precision", "weights", "needed", "rounded"),
    [
        ("bf16", "bf16", False, True),
        ("fp32", "bf16", False, False),
        ("bf16", "fp32", False, False),
        ("bf16", "bf16", True, False),
    ],
)
def test_weights_are_stored_in_bf16_if_the_stage_computes_in_it_and_no_stage_continues_from_it(
    expanded: Expand, precision: str, weights: str, needed: bool, rounded: bool
) -> None:
    expansion = expanded(recipe={"precision": precision})
    jobs = missing_jobs(expansion.graph, {}, "/store", Runtime(weights=weights))
    base, stage = jobs.values()
    assert replace(stage, needed=needed).rounds_weights is rounded
    assert not base.rounds_weights, "a base model is stored as it is"


def test_a_job_survives_pickling_on_its_way_to_a_trial(expanded: Expand) -> None:
    for job in missing_jobs(
        expanded(targets=["bucc2018", "squad2"], splits=["dev"]).graph, {}, "/store", Runtime()
    ).values():
        again = pickle.loads(pickle.dumps(job))
        assert again == job
        assert again.spec.key == job.spec.key
