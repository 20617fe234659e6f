"""Collects what a report says besides results: the plan, the stages, their cost, and what reproducing them needs.

Every text that was written by a person or a library is passed through `redact`, so that no secret enters the report.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.encoders.configs import config_of
from stilts.encoders.kinds import kind_warning
from stilts.experiment.load import resolved_yaml
from stilts.experiment.secrets import redact
from stilts.identity.stage import BaseSpec, StageSpec
from stilts.ledger.record import read_stage, stage_path
from stilts.ledger.spending import read_spending
from stilts.ledger.status import stage_states
from stilts.plan.cost.price import priced
from stilts.plan.graph import Node
from stilts.plan.summary import Plan
from stilts.plan.todo import artifact_name
from stilts.session import Session
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store
from stilts.tasks.benchmarks import get_benchmark
from stilts.version import __version__

STAGES = pa.schema(
    [
        *((name, pa.string()) for name in ("name", "state", "detail", "tasks")),
        *((name, pa.int64()) for name in ("seed", "cells", "evaluations", "evaluations_missing")),
        *((name, pa.int64()) for name in ("steps", "examples", "tokens")),
        ("seconds", pa.float64()),
        ("ranks", pa.int64()),
        ("accelerator", pa.string()),
        ("rank_hours", pa.float64()),
        ("bytes", pa.int64()),
        ("host", pa.string()),
        ("finished", pa.string()),
        ("versions", pa.map_(pa.string(), pa.string())),
    ]
)
"""Schema of the table `stages`: one row per stage, base models first and parents before children.

- seconds: time of the training alone; rank_hours: the same times the number of ranks, in hours. If `accelerator` is
  gpu, these are GPU-hours.
- bytes: size of the artifact in the store.

Columns about the training are null if the stage has no record or trained nothing."""

PLAN = pa.schema(
    [
        *((name, pa.int64()) for name in ("cells", "stages", "shared", "unshared", "done", "to_train")),
        *((name, pa.int64()) for name in ("evaluations", "evaluations_missing")),
        *((name, pa.int64()) for name in ("failed", "diverged", "running", "waiting")),
        *((name, pa.int64()) for name in ("trained_examples", "trained_tokens", "bytes")),
        ("trained_rank_hours", pa.float64()),
        ("gpu_hours_left", pa.float64()),
        ("spent_gpu_hours", pa.float64()),
        ("launches", pa.int64()),
        ("spent", pa.float64()),
        ("expected", pa.float64()),
        ("currency", pa.string()),
    ]
)
"""Schema of the table `plan`, which has one row.

It holds the figures of the plan (see `stilts.plan.summary.summarize`), totals over the records of trained stages, and
the GPU-hours that all launches used (see `stilts.ledger.spending`). spent, and expected for the stages that are left,
are in `currency`; null if no prices are declared."""


@dataclass(frozen=True)
class Facts:
    """What a report says besides results.

    Attributes:
        question: that of the experiment, if it declares one.
        stages, plan: tables with the schemas `STAGES` and `PLAN`.
        speed: source of the speed that the estimate of the remaining time is based on.
        models: base model -> where its weights come from, with revision or digest.
        data: `{"task", "split", "language", "identity", "rows"}` of every data set that is read.
        versions: package -> version -> number of stages trained with it.
        hosts: machine -> number of stages trained on it.
        code: version of stilts, with the git commit if it runs from a repository.
        command: the command line that made the report, without secrets.
        yaml: the experiment with all defaults written out.
    """

    name: str
    benchmark: str
    store: str
    seeds: tuple[int, ...]
    models: Mapping[str, str]
    intermediates: tuple[str, ...]
    targets: tuple[str, ...]
    stages: pa.Table
    plan: pa.Table
    speed: str
    data: list[dict[str, Any]]
    versions: Mapping[str, Mapping[str, int]]
    hosts: Mapping[str, int]
    code: str
    python: str
    command: str
    yaml: str
    written: str
    question: str | None

    @property
    def tables(self) -> dict[str, pa.Table]:
        return {"stages": self.stages, "plan": self.plan}


def gather_facts(session: Session, command: str) -> Facts:
    """Collect the facts of an experiment from its plan and the current content of its store."""
    experiment, plan = session.experiment, session.plan()
    stages = _stages(plan, session.store)
    trained = [dict(row["versions"]) for row in stages if row["versions"]]
    packages = dict.fromkeys(package for versions in trained for package in versions)
    return Facts(
        name=experiment.name,
        benchmark=get_benchmark(experiment.benchmark).name,
        store=redact(session.store.uri),
        seeds=experiment.seeds,
        models={name: _described(plan, name) for name in experiment.models},
        intermediates=tuple(experiment.intermediates),
        targets=tuple(experiment.targets),
        stages=pa.Table.from_pylist(stages, schema=STAGES),
        plan=pa.Table.from_pylist([_figures(plan, stages, session)], schema=PLAN),
        speed=plan.rates.source,
        data=[
            {
                "task": ref.task,
                "split": ref.split,
                "language": ref.language,
                "identity": redact(ref.identity),
                "rows": ref.rows,
            }
            for ref in session.data
        ],
        versions={name: Counter(versions.get(name, "not known") for versions in trained) for name in packages},
        hosts=Counter(row["host"] for row in stages if row["host"]),
        code=_code(),
        python=".".join(map(str, sys.version_info[:3])),
        command=redact(command),
        yaml=redact(resolved_yaml(experiment)),
        question=None if session.experiment.question is None else redact(session.experiment.question),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _stages(plan: Plan, store: Store) -> list[dict[str, Any]]:
    nodes = list(plan.expansion.graph)
    names = [artifact_name(node, plan.inventory) for node in nodes]
    records = parallel_map(store, lambda name: read_stage(store, name), names)
    sizes = parallel_map(store, lambda name: store.measure(stage_path(name)), names)
    states = stage_states(plan, store)
    return [
        {
            "name": name,
            "state": state["state"],
            "detail": redact(state["detail"] or ""),
            "tasks": _tasks(node),
            "seed": node.spec.recipe.seed if isinstance(node.spec, StageSpec) else None,
            "cells": node.uses,
            "evaluations": len(node.evaluations),
            "evaluations_missing": _missing(plan, node),
            "bytes": None if size is None else size.bytes,
            **_measured(record or {}),
        }
        for node, name, state, record, size in zip(nodes, names, states, records, sizes, strict=True)
    ]


def _tasks(node: Node) -> str:
    return " + ".join(part.task for part in node.spec.parts) if isinstance(node.spec, StageSpec) else ""


def _missing(plan: Plan, node: Node) -> int:
    job = plan.jobs.get(node.key)
    return 0 if job is None else len(job.evaluations)


def _measured(record: Mapping[str, Any]) -> dict[str, Any]:
    train, runtime = record.get("train", {}), record.get("runtime", {})
    seconds, ranks = train.get("seconds"), runtime.get("ranks")
    return {
        **{name: train.get(name) for name in ("steps", "examples", "tokens", "seconds")},
        "ranks": ranks if train else None,
        "accelerator": record.get("speed", {}).get("kind"),
        "rank_hours": None if seconds is None or ranks is None else seconds * ranks / 3600,
        "host": record.get("host"),
        "finished": record.get("finished"),
        "versions": list(record.get("versions", {}).items()) or None,
    }


def _figures(plan: Plan, stages: list[dict[str, Any]], session: Session) -> dict[str, Any]:
    figures, price = plan.figures, priced(plan)
    currency = "" if price is None else price["currency"]
    spent = read_spending(session.store, session.experiment.name, currency)
    states = Counter(row["state"] for row in stages)

    def total(column: str) -> Any:
        return sum(row[column] or 0 for row in stages)

    return {
        **{name: figures[name] for name in PLAN.names if name in figures},
        **{state: states[state] for state in ("failed", "diverged", "running", "waiting")},
        "trained_examples": total("examples"),
        "trained_tokens": total("tokens"),
        "trained_rank_hours": total("rank_hours"),
        "bytes": total("bytes"),
        "gpu_hours_left": figures["gpu_hours"],
        "spent_gpu_hours": spent.gpu_hours,
        "launches": spent.launches,
        "spent": None if price is None else spent.cost,
        "expected": None if price is None else price["cost"],
        "currency": currency or None,
    }


def _described(plan: Plan, model: str) -> str:
    """Where a base model's weights come from, and what is not known of its model type."""
    chain = next(branch.chain for cell in plan.expansion.cells if cell.model == model for branch in cell.branches)
    spec = plan.expansion.graph.nodes[chain[0]].spec
    assert isinstance(spec, BaseSpec)
    config = config_of(spec)
    warning = None if config is None else kind_warning(config)
    return _origin(plan, model) + ("" if warning is None else f"; {warning}")


def _origin(plan: Plan, model: str) -> str:
    """Where the weights of a base model come from: hub id and revision, or path or architecture with the key."""
    declared = plan.expansion.experiment.models[model]
    if declared.hub is not None:
        return f"{declared.hub} @ {declared.revision}"
    chain = next(branch.chain for cell in plan.expansion.cells if cell.model == model for branch in cell.branches)
    spec = plan.expansion.graph.nodes[chain[0]].spec
    assert isinstance(spec, BaseSpec)
    if declared.path is not None:
        return redact(f"{declared.path}, key {spec.key}")
    return f"initialised at random ({declared.init.config['model_type'] if declared.init else ''}), key {spec.key}"


def _code() -> str:
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return f"stilts {__version__}"
    changed = " with uncommitted changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
    return f"stilts {__version__}, git commit {commit}{changed}"


def _git(*arguments: str) -> str | None:
    """Output of a git command in the repository that contains this package; None without a repository or on errors."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        found = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
