"""Output of ranks that can no longer write it themselves: another process of their node copies it to the store."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from stilts.errors import StiltsError
from stilts.ledger.logs import RankOutput, last_output, write_output
from stilts.plan.job import StageJob
from stilts.run.stage.output import read_output
from stilts.storage.open import open_store

ANSWER_SECONDS = 20.0
"""How long the nodes get to copy the output of their ranks."""
DETAIL_CHARACTERS = 8_000


@dataclass(frozen=True)
class Place:
    """Where a rank runs.

    Attributes:
        facts: `rank`, `pid`, `node` (host name) and `ray_node` (id).
        files: of its standard output and standard error, on its node.
    """

    facts: dict[str, Any]
    files: tuple[str, ...]

    @property
    def rank(self) -> int:
        return int(self.facts["rank"])


def save_output(job: StageJob, places: Sequence[Place], rank: int | None = None, detail: str = "") -> None:
    """Copy the last lines of the ranks of a gang to the store, on the node of each. Raises nothing.

    Args:
        rank: number of a rank that was lost.
        detail: what Ray says of it; follows its last lines.
    """
    by_node: dict[str, list[Place]] = {}
    for place in places:
        by_node.setdefault(place.facts["ray_node"], []).append(place)
    said = {} if rank is None else {rank: detail[:DETAIL_CHARACTERS]}
    local = by_node.pop(ray.get_runtime_context().get_node_id(), [])
    # In a thread, because the store may not answer.
    saving = threading.Thread(target=_save, args=(job, local, said), daemon=True, name="output")
    saving.start()
    answers = _save_elsewhere(job, by_node, said)
    saving.join(ANSWER_SECONDS)
    done, _ = ray.wait(list(answers), num_returns=len(answers), timeout=ANSWER_SECONDS) if answers else ([], [])
    saved = set()
    for answer in done:
        with suppress(RayError):
            ray.get(answer)
            saved.add(answers[answer])
    gone = [place for node, found in by_node.items() if node not in saved for place in found if place.rank in said]
    for place in gone:
        with suppress(StiltsError, OSError):
            _say(job, place, said[place.rank])


def _save_elsewhere(job: StageJob, by_node: dict[str, list[Place]], said: dict[int, str]) -> dict[ray.ObjectRef, str]:
    """Start a task on each node that copies the output of its ranks; returns the ids of the nodes by task."""
    copy = ray.remote(num_cpus=0, max_retries=0)(_save)
    return {
        copy.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(job, found, said): (
            node
        )
        for node, found in by_node.items()
    }


def _save(job: StageJob, places: Sequence[Place], said: dict[int, str]) -> None:
    """Copy the output of ranks of this node."""
    for place in places:
        with suppress(StiltsError, OSError):
            output = read_output(place.files, job.name, place.facts) if place.files else None
            if output is not None:
                write_output(open_store(job.store), job.name, _with(output, said.get(place.rank, "")))
            elif place.rank in said:
                _say(job, place, said[place.rank])


def _say(job: StageJob, place: Place, detail: str) -> None:
    """Write what Ray says of a rank below the lines that it copied itself."""
    store = open_store(job.store)
    before = last_output(store, job.name, place.rank)
    if before is None or before.facts.get("pid") != place.facts["pid"]:
        before = RankOutput(0, place.rank, place.facts, "")
    write_output(store, job.name, _with(before, detail))


def _with(output: RankOutput, detail: str) -> RankOutput:
    return replace(output, text=f"{output.text}--- Ray ---\n{detail.rstrip()}\n") if detail else output
