"""One small page, built once: three regimes, one of which is mischief, on XTREME's targets with three seeds."""

import random
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from stilts.collect.analyse import over_seeds
from stilts.collect.options import Options
from stilts.collect.report.facts import PLAN, STAGES, Facts
from stilts.collect.report.page import write_report
from tests.collect.conftest import Grid, metrics_of
from tests.collect.report.reading import Reading

MISCHIEF = "<script>alert(1)</script>"
TARGETS = {
    **{"pawsx": ("en", "de"), "xnli": ("en", "de", "sw"), "udpos": ("en", "de"), "panx": ("en", "de")},
    **{
        "xquad": ("en", "de"),
        "mlqa": ("en", "de"),
        "tydiqa": ("en", "sw"),
        "bucc2018": ("de",),
        "tatoeba": ("de", "sw"),
    },
}
SEEDS = (1, 2, 3)


@pytest.fixture(scope="package")
def tables() -> Mapping[str, pa.Table]:
    grid, chance = Grid(), random.Random(5)
    for i, regime in enumerate(("none", "mnli", MISCHIEF)):
        for target, languages in TARGETS.items():
            for seed in SEEDS:
                scores = {
                    language: metrics_of(target, 40 + 5 * j + 2 * i + chance.gauss(0, 1 + i))
                    for j, language in enumerate(languages)
                }
                if (regime, target, seed) == ("mnli", "panx", 3):
                    missing = dict.fromkeys(scores, "missing")
                    grid.add(regime, target, seed, missing, stage="bad", status="failed", error=MISCHIEF)
                else:
                    grid.add(regime, target, seed, scores)
    return over_seeds(grid.table(), Options())


@pytest.fixture(scope="package")
def facts() -> Facts:
    shared = {"cells": 3, "evaluations": 2, "evaluations_missing": 0, "accelerator": "cpu", "ranks": 1, "host": "box"}
    stages = [
        {**shared, "name": "good", "state": "done", "detail": "", "tasks": "mnli", "seed": 1, "seconds": 12.345},
        {**shared, "name": "bad", "state": "failed", "detail": f"{MISCHIEF}\nTraceback", "tasks": "panx", "seed": 3},
    ]
    plan = {name: i for i, name in enumerate(PLAN.names)} | {"currency": None, "spent": None, "expected": None}
    return Facts(
        name="tiny",
        benchmark="xtreme",
        store="store",
        seeds=SEEDS,
        models={"base": "hub @ 123"},
        intermediates=("none", "mnli", MISCHIEF),
        targets=tuple(TARGETS),
        stages=pa.Table.from_pylist(stages, schema=STAGES),
        plan=pa.Table.from_pylist([plan], schema=PLAN),
        speed="measured",
        data=[{"task": "xnli", "split": "test", "language": "en", "identity": "sha256:12", "rows": 5010}],
        versions={"torch": {"2.8": 2}},
        hosts={"box": 2},
        code="stilts 0.1.0",
        python="3.11",
        command="stilts report tiny.yaml",
        yaml="name: tiny\n",
        written="2026-01-01 00:00 UTC",
    )


@pytest.fixture(scope="package")
def folder(tables: Mapping[str, pa.Table], facts: Facts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder, with report.html."""
    path: Path = tmp_path_factory.mktemp("report")
    write_report(path / "report.html", path, tables, facts, Options())
    return path


@pytest.fixture(scope="package")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text()


@pytest.fixture(scope="package")
def reading(html: str) -> Reading:
    return Reading(html)
