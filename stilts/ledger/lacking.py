"""What a store lacks of the work of one stage."""

from dataclasses import replace

from stilts.identity.stage import SHORT
from stilts.ledger.record import take_inventory
from stilts.plan.job import StageJob
from stilts.storage.protocol import Store


def lacking(store: Store, job: StageJob, *, verify: bool) -> StageJob | None:
    """Return the part of a job that the store lacks; None if it lacks nothing.

    Args:
        verify: as for `take_inventory`.
    """
    artifact = take_inventory(store, {job.name[-SHORT:]}, verify=verify).get(job.name[-SHORT:])
    if artifact is None:
        return job
    missing = tuple(spec for spec in job.evaluations if spec.path not in artifact.evaluations)
    kept = artifact.weights and (artifact.exact or not job.needed)
    if artifact.trained and not missing and (kept or not (job.needed or job.wanted)):
        return None
    # If another stage starts from this one, rounded weights do not suffice: the plan has it trained again.
    serves = artifact.weights and (artifact.exact or job.trained or not job.needed)
    return replace(job, trained=artifact.trained and serves, evaluations=missing)
