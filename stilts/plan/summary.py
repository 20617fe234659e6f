"""Plan: an expanded experiment compared with a store, its jobs and costs, and the summary that `stilts plan` prints."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from stilts.data.sources.pins import is_known
from stilts.identity.stage import SHORT, DataRef, StageSpec
from stilts.plan.check_models import model_rows, model_warnings, recipe_notes
from stilts.plan.cost.calibrate import measure
from stilts.plan.cost.disk import declared_trials, disk_need
from stilts.plan.cost.estimate import StageCost, stage_costs, uses_gpus
from stilts.plan.cost.memory import planned_memory
from stilts.plan.cost.node_rates import node_rates, plan_rates
from stilts.plan.cost.rates import Rates
from stilts.plan.cost.sharding import memory_notes
from stilts.plan.expand import Expansion
from stilts.plan.job import StageJob
from stilts.plan.keep import kept_best, kept_weights
from stilts.plan.notes import idle_notes, notes, precision_notes
from stilts.plan.todo import Artifact, Inventory, missing_jobs
from stilts.tasks.base import get_task

_NOTHING = Artifact("")


@dataclass
class Plan:
    """An expansion compared with what a store holds.

    Attributes:
        inventory: the artifacts that were in the store when the plan was made.
        jobs: the jobs that a run has to do, by stage key, parents first.
        costs: the estimated cost of each job, by stage key.
        rates: how fast a trial works on the hardware that the hours are counted on.
        node_rates: the same on each type of node of the cluster, by its name.
    """

    expansion: Expansion
    inventory: Inventory
    jobs: dict[str, StageJob]
    costs: dict[str, StageCost]
    rates: Rates
    node_rates: dict[str, Rates]

    @cached_property
    def figures(self) -> dict[str, Any]:
        """The result of `summarize`, computed once."""
        return summarize(self)

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Estimated seconds of each job in a trial, by stage key."""
        return self._seconds(self.rates)

    @cached_property
    def node_seconds(self) -> dict[str, dict[str, float]]:
        """The same on the nodes of each type, by its name."""
        return {
            name: self.seconds if rates == self.rates else self._seconds(rates)
            for name, rates in self.node_rates.items()
        }

    def _seconds(self, rates: Rates) -> dict[str, float]:
        return {key: rates.seconds(cost.work, self.jobs[key].trained_tasks) for key, cost in self.costs.items()}

    @property
    def gpu_hours(self) -> float:
        """Hours of all ranks (GPU-hours, or CPU-hours without GPUs)."""
        return sum(self.seconds.values()) * self.expansion.experiment.runtime.ranks / 3600


def make_plan(expansion: Expansion, inventory: Inventory, store: str, records: Iterable[Mapping[str, Any]]) -> Plan:
    """Compare an expansion with what a store holds, and estimate the costs of the missing jobs.

    Args:
        inventory: the artifacts in the store.
        store: URI of the store.
        records: stage records of the store, from which the rates are measured.
    """
    runtime, cluster = expansion.experiment.runtime, expansion.experiment.cluster
    jobs = missing_jobs(
        expansion.graph,
        inventory,
        store,
        runtime,
        best=kept_best(expansion, inventory),
        tasks=expansion.experiment.tasks,
    )
    measured = measure(expansion.graph, records, gpu=uses_gpus(runtime, cluster))
    return Plan(
        expansion, inventory, jobs, stage_costs(expansion.graph, jobs),
        plan_rates(runtime, cluster, measured), node_rates(runtime, cluster, measured),
    )  # fmt: skip


def summarize(plan: Plan) -> dict[str, Any]:
    """Summarize a plan in plain JSON types.

    Counts of stages: `stages` is the number of distinct stages, `shared` of those that more than one cell uses,
    `unshared` the number of trainings if no cells shared any, `done` of those with nothing left to do, `to_train` of
    those that must be trained, `to_train_again` of those among them that were trained and whose weights were not kept,
    and `to_evaluate` of those whose weights are stored but whose evaluations are incomplete. `keeps_weights` is the
    number of stages whose weights stay in the end, by the policy `keep`. `unknown` lists sizes that are not known,
    `pins` and `unlike` describe data of the hub.
    """
    graph, cells = plan.expansion.graph, plan.expansion.cells
    stages = graph.stages()
    bases = {node.key for node in graph if node.is_base}
    training = {key for key, job in plan.jobs.items() if key not in bases and not job.trained}
    again = {key for key in training if plan.inventory.get(key[:SHORT], _NOTHING).trained}
    gpu = uses_gpus(plan.expansion.experiment.runtime, plan.expansion.experiment.cluster)
    need = disk_need(plan.costs, declared_trials(plan.expansion.experiment) or 1)
    return {
        "experiment": plan.expansion.experiment.name,
        "cells": len(cells),
        "stages": len(stages),
        "shared": sum(node.uses > 1 for node in stages),
        "unshared": sum(len(cell.stages - bases) for cell in cells),
        "done": sum(node.key not in plan.jobs for node in stages),
        "to_train": len(training),
        "to_train_again": len(again),
        "to_evaluate": sum(key not in training for key in plan.jobs if plan.jobs[key].evaluations),
        "evaluations": sum(len(node.evaluations) for node in graph),
        "evaluations_missing": sum(len(job.evaluations) for job in plan.jobs.values()),
        "examples": sum(cost.examples for cost in plan.costs.values()),
        "tokens": sum(cost.tokens for cost in plan.costs.values()),
        "gpu_hours": round(plan.gpu_hours, 4),
        "speed": {
            "hardware": plan.rates.hardware.name,
            "flops": plan.rates.achieved("bf16"),
            "source": plan.rates.source,
        },
        "bytes": {"peak": need.peak, "end": need.end},
        "memory": planned_memory(graph, plan.jobs, plan.expansion.experiment.runtime, gpu=gpu),
        "keep": plan.expansion.experiment.runtime.keep,
        "keeps_weights": kept_weights(plan.expansion),
        "left_out": [
            {"target": target, "split": split, "languages": list(languages)}
            for (target, split), languages in plan.expansion.left_out.items()
        ],
        "pins": pins(plan.expansion),
        "unlike": unlike_sources(plan.expansion),
        "models": model_rows(graph),
        "unknown": sorted({item for cost in plan.costs.values() for item in cost.unknown}),
        "notes": [
            *model_warnings(graph),
            *recipe_notes(graph),
            *memory_notes(graph, plan.expansion.experiment.runtime),
            *notes(graph),
            *([] if gpu else precision_notes(graph)),
            *idle_notes(plan.expansion.experiment, graph),
        ],
    }


def unlike_sources(expansion: Expansion) -> list[dict[str, Any]]:
    """The hub data sets that differ from the benchmark's own data, one entry per task and language, with the reason."""
    refs = {(ref.task, ref.language): ref for ref in _hub_refs(expansion)}
    found = []
    for (name, language), ref in refs.items():
        source = get_task(name).hub
        if source is not None and language in source.unlike and ref.identity.startswith(f"hub:{source.id}/"):
            found.append({"task": name, "language": language, "source": source.id, "why": source.unlike[language]})
    return found


def pins(expansion: Expansion) -> list[dict[str, Any]]:
    """The hub data sets that a plan reads: id, pinned revision, and whether that revision is known to load."""
    found = {ref.identity.removeprefix("hub:").partition("#")[0] for ref in _hub_refs(expansion)}
    parts = {(path.rpartition("@")[0], path.rpartition("@")[2]) for path in found}
    named = sorted({("/".join(path.split("/")[:2]), revision) for path, revision in parts})
    return [{"id": id_, "revision": revision, "known": is_known(id_, revision)} for id_, revision in named]


def _hub_refs(expansion: Expansion) -> Iterator[DataRef]:
    specs = [node.spec for node in expansion.graph]
    # By identity, because the nodes share their evaluations and hashing one takes longer.
    evaluations = {id(found): found for node in expansion.graph for found in node.evaluations.values()}
    own = (ref for spec in specs if isinstance(spec, StageSpec) for ref in spec.data)
    evaluated = (ref for evaluation in evaluations.values() for ref in evaluation.refs)
    yield from (ref for ref in chain(own, evaluated) if ref.identity.startswith("hub:"))


def stage_rows(plan: Plan) -> list[dict[str, Any]]:
    """One row per node of the graph, parents first, in plain JSON types: name, state, cells, and costs."""
    rows, ranks = [], plan.expansion.experiment.runtime.ranks
    for node in plan.expansion.graph:
        job, cost = plan.jobs.get(node.key), plan.costs.get(node.key, StageCost())
        found = plan.inventory.get(node.key[:SHORT])
        if job is None:
            state = "done"
        elif node.is_base:
            state = "base"
        else:
            state = "evaluate" if job.trained else "train"
        rows.append(
            {
                "name": found.name if found else node.name,
                "state": state,
                "cells": node.uses,
                "evaluations": len(job.evaluations) if job else 0,
                "examples": cost.examples,
                "tokens": cost.tokens,
                "gpu_hours": round(plan.seconds.get(node.key, 0.0) * ranks / 3600, 5),
            }
        )
    return rows
