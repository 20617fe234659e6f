"""To do: compare the graph of an experiment with the artifacts in a store, and derive the jobs that are missing."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from stilts.experiment.runtime import Runtime
from stilts.experiment.tasks import TaskFile
from stilts.identity.stage import SHORT
from stilts.plan.graph import Graph, Node
from stilts.plan.job import StageJob


@dataclass(frozen=True)
class Artifact:
    """What the store holds of one stage.

    Attributes:
        name: name of its directory. Another experiment may have chosen the slug in it.
        trained: whether its record exists.
        weights: whether its weights exist and are complete.
        evaluations: paths of its evaluation records (see `EvaluationSpec.path`).
        exact: whether its weights are the fp32 master weights, from which another stage can continue
            (`runtime.weights`).
        dev: its score on the English dev set; None if it has none.
    """

    name: str
    trained: bool = False
    weights: bool = False
    evaluations: frozenset[str] = field(default_factory=frozenset)
    exact: bool = True
    dev: float | None = None


Inventory = Mapping[str, Artifact]
"""Artifacts by the first `SHORT` hex digits of their key."""


def artifact_name(node: Node, inventory: Inventory) -> str:
    """Name of a node's directory: that of the stored artifact with its key, else the name of the node."""
    found = inventory.get(node.key[:SHORT])
    return found.name if found else node.name


def missing_jobs(
    graph: Graph,
    inventory: Inventory,
    store: str,
    runtime: Runtime,
    wanted: Collection[str] = (),
    best: Mapping[str, bool] = MappingProxyType({}),
    tasks: tuple[TaskFile, ...] = (),
) -> dict[str, StageJob]:
    """The jobs that a run has to do, by stage key, parents first; empty if nothing is missing.

    A node has a job if some of its evaluations are missing, or if its weights are missing and are needed: because a
    child of it has to train, because `runtime.keep` is `all`, or because they are the best.

    Args:
        store: URI of the store.
        wanted: keys of nodes whose weights are needed for another purpose, such as the trials of a search.
        best: what `keep: best` keeps, by short key (see `plan.keep.kept_best`).
        tasks: the experiment's own files of tasks, which the jobs take along.
    """
    needs_weights = set(wanted)
    running: dict[str, Node] = {}
    for node in reversed(list(graph)):
        artifact = inventory.get(node.key[:SHORT], Artifact(node.name))
        lacks_weights = not (artifact.trained and artifact.weights and _serves(artifact, node.key in needs_weights))
        lacks_evaluation = any(path not in artifact.evaluations for path in node.evaluations)
        kept = runtime.keep == "all" or best.get(node.key[:SHORT], False)
        if not lacks_evaluation and not (lacks_weights and (node.key in needs_weights or kept)):
            continue
        running[node.key] = node
        if lacks_weights and node.parent is not None:
            needs_weights.add(node.parent)
    return {
        key: replace(
            _job(running[key], graph, inventory, store, runtime, key in needs_weights, best.get(key[:SHORT])),
            tasks=tasks,
        )
        for key in graph.nodes
        if key in running
    }


def _serves(artifact: Artifact, continued: bool) -> bool:
    """Whether an artifact's weights are precise enough. A stage that continues from them needs fp32 master weights."""
    return artifact.exact or not continued


def _job(
    node: Node, graph: Graph, inventory: Inventory, store: str, runtime: Runtime, continued: bool, best: bool | None
) -> StageJob:
    artifact = inventory.get(node.key[:SHORT], Artifact(node.name))
    trained = artifact.trained and artifact.weights and _serves(artifact, continued)
    return StageJob(
        name=artifact.name,
        spec=node.spec,
        parent=None if node.parent is None else artifact_name(graph.nodes[node.parent], inventory),
        evaluations=tuple(spec for path, spec in node.evaluations.items() if path not in artifact.evaluations),
        keep_weights=runtime.keep == "all" or bool(node.children) or trained or best is not None,
        trained=trained,
        watched=() if trained else tuple(node.watched.values()),
        store=store,
        runtime=runtime,
        needed=bool(node.children) or continued,
        wanted=runtime.keep == "all" or best is True,
    )
