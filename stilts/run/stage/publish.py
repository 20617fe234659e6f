"""Publishing of a stage: its weights and record, its model card, and the removal of its resume states.

Everything here is queued for the uploader of the leader, in the order of the calls.
"""

import logging
import platform
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stilts.experiment.secrets import redact
from stilts.ledger.record import write_model_card, write_stage
from stilts.run.stage.attempt import Attempt
from stilts.run.stage.model_card import model_card
from stilts.run.stage.resume import ResumeCopies
from stilts.storage.protocol import Manifest, Store
from stilts.train.checkpoint import ResumeStore

log = logging.getLogger(__name__)

_VERSIONS = ("stilts", "torch", "transformers", "deepspeed", "ray", "pyarrow")


def publish_stage(
    attempt: Attempt,
    weights: Path,
    payload: dict[str, Any],
    facts: dict[str, Any],
    published: Callable[[Manifest], None] = lambda manifest: None,
) -> None:
    """Queue the weights of the stage, then its record, which names their digests.

    Args:
        weights: local folder with the weights; it must exist until the queue is flushed.
        payload: identity of the stage, from which its key is computed.
        facts: further sections of the record.
        published: called with sizes and digests of the weights' files when they and the record are in the store.
    """
    job = attempt.job
    record = {
        "name": job.name,
        "key": job.spec.key,
        "payload": payload,
        "weights": None,
        "weights_precision": "bf16" if job.rounds_weights else "fp32",
        "runtime": job.runtime.model_dump(),
        "versions": {package: version(package) for package in _VERSIONS},
        "host": platform.node(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **facts,
    }

    def write() -> None:
        fence = attempt.lease.check
        manifest = attempt.store.put_tree(weights, f"{attempt.path}/weights", fence)
        write_stage(attempt.store, job.name, {**record, "weights": manifest}, fence)
        published(manifest)

    attempt.submit(write)


def publish_model_card(attempt: Attempt) -> None:
    """Queue the model card of a stage whose weights may be kept. It shows the scores that are stored by then."""
    job, store = attempt.job, attempt.store
    if job.has_card:
        attempt.submit(partial(_write_card, store, job.name))


def _write_card(store: Store, name: str) -> None:
    """Write the model card. It is for readers only, so a failure is logged and the stage counts as done."""
    try:
        write_model_card(store, name, model_card(store, name))
    except Exception as error:
        log.warning("%s: the model card could not be written: %s", name, redact(f"{error}"))


def remove_resume_states(attempt: Attempt, resume: ResumeStore, copies: ResumeCopies | None) -> None:
    """Queue the removal of the resume states, after all earlier writes; called when the training is over."""
    if copies is not None:
        copies.stop()
    attempt.submit(lambda: attempt.store.remove(f"{attempt.path}/resume"))
    attempt.submit(resume.clear)
