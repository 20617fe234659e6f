"""One small page, built once: three regimes, one of which is mischief, on XTREME's targets with three seeds."""

import random
from pathlib import Path

import pyarrow as pa
import pytest

from stilts.experiment.claims import ClaimDecl
from stilts.identity.stage import Condition
from stilts.plan.claims import Claim
from stilts.results.analyse import Tables, over_seeds
from stilts.results.best import best
from stilts.results.claims.table import claims_table
from stilts.results.items.table import SCHEMA as ITEMS
from stilts.results.learning.curves import SCHEMA as CURVES
from stilts.results.learning.selection import SCHEMA as SELECTION
from stilts.results.published import beside_published
from stilts.results.seed_statistics import Options
from stilts.results.similarity.pretraining import Pretraining
from stilts.results.similarity.similarity import similarity
from stilts.results.variance import VARIANCE
from stilts.show.html.facts import PLAN, STAGES, Facts
from stilts.show.html.page import write_report
from tests.results.conftest import Grid, metrics_of
from tests.show.html.reading import Reading

MISCHIEF = "<script>alert(1)</script>"
TARGETS = {
    **{"pawsx": ("en", "de"), "xnli": ("en", "de", "sw"), "udpos": ("en", "de")},
    "panx": ("en", "de", "sw", "zh", "tr", "hi"),
    **{"xquad": ("en", "de"), "mlqa": ("en", "de"), "tydiqa": ("en", "sw")},
    **{"bucc2018": ("de",), "tatoeba": ("de", "sw")},
}
SEEDS = (1, 2, 3)
SWAP = Condition("swap", 0.1)


@pytest.fixture(scope="package")
def tables() -> Tables:
    grid, chance = Grid(), random.Random(5)
    for i, regime in enumerate(("none", "mnli", MISCHIEF)):
        for target, languages in TARGETS.items():
            for seed in SEEDS:
                values = {language: 40 + 5 * j + 2 * i + chance.gauss(0, 1 + i) for j, language in enumerate(languages)}
                scores = {language: metrics_of(target, value) for language, value in values.items()}
                noisy = {language: metrics_of(target, value - 7) for language, value in values.items()}
                noise = {SWAP: noisy} if target == "xnli" else None
                if (regime, target, seed) == ("mnli", "panx", 3):
                    missing = dict.fromkeys(scores, "missing")
                    grid.add(regime, target, seed, missing, stage="bad", status="failed", error=MISCHIEF)
                else:
                    grid.add(regime, target, seed, scores, dev=50 + i, noise=noise)
    tables = over_seeds(grid.table(), Options())
    chosen = best(tables["results"], grid.cells, grid.read_evaluation, "none")
    sizes = dict(zip(TARGETS["panx"], (300.0, 60.0, 1.6, 46.0, 20.0, 20.0), strict=True))
    pretraining = {"base": Pretraining("xlm-roberta", sizes, "GB of text")}
    points, correlations = similarity(tables["languages"], set(TARGETS), pretraining)
    return {
        **tables,
        "best": chosen,
        "published": beside_published(tables["results"], chosen, "none"),
        "similarity": correlations,
        "similarity_points": points,
        "claims": _claims(tables["results"], pretraining),
        **_written_by_hand(chance),
    }


def _claims(results: pa.Table, pretraining: dict[str, Pretraining]) -> pa.Table:
    helps = ClaimDecl(
        text="MNLI raises XNLI by 2 points.", difference={"regime": "mnli", "target": "xnli", "above": -20}
    )
    order = ClaimDecl(
        text=MISCHIEF, source="a paper of 2020", differs="its model", order={"target": "xnli", "best": "none"}
    )
    claims = [
        Claim(name, decl, ("base",), ("mnli", "none"), ("xnli",), "test")
        for name, decl in (("helps", helps), ("order-2", order))
    ]
    return claims_table(results, claims, pretraining, {"helps": {"declared": "2026-01-01T00:00:00", "results_then": 0}})


def _written_by_hand(chance: random.Random) -> dict[str, pa.Table]:
    """Tables that cannot be computed from this grid: they need crossed seeds, or the records of stages."""
    parts = {"intermediate_share": 20.4, "target_share": 60.2, "residual_share": 19.4}
    seeds = {"intermediate_seeds": 3, "target_seeds": 3, "planned": 9, "n": 9, "total_sd": 1.23}
    variance = {"split": "test", "model": "base", "intermediate": "mnli", "column": "xnli", **seeds, **parts}
    place = {"model": "base", "intermediate": "mnli", "target": "xnli"}
    tested = {"items": 10, "seeds": 3, "planned": 3, "low": -0.52, "high": 3.41, "p": 0.11, "p_holm": 0.22}
    item = {**place, "split": "test", "language": "sw", "baseline": "none", "difference": 1.4, **tested}
    loss = {**place, "role": "target", "stage": "good", "seed": 1, "series": "loss"}
    curve = [{**loss, "step": step, "steps": 1, "value": 5 / step + chance.random()} for step in range(1, 9)]
    curve += [{**loss, "series": "dev", "language": "en", "step": step, "value": 40.0 + step} for step in (4, 8)]
    scores = {"best_dev": 61.26, "last": 61.04, "oracle": 62.5, "cost": 1.24, "gain": 0.22}
    choice = {**place, "language": "mean", "split": "test", "chosen_on": "dev", "status": "ok", "planned": 3, "n": 3}
    return {
        "items": pa.Table.from_pylist([item], schema=ITEMS),
        "variance": pa.Table.from_pylist([variance], schema=VARIANCE),
        "curves": pa.Table.from_pylist(curve, schema=CURVES),
        "selection": pa.Table.from_pylist([{**choice, **scores}], schema=SELECTION),
    }


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
        speed="measured on 26 stages",
        data=[{"task": "xnli", "split": "test", "language": "en", "identity": "sha256:12", "rows": 5010}],
        versions={"torch": {"2.8": 2}},
        hosts={"box": 2},
        code="stilts 0.1.0",
        python="3.11",
        command="stilts report tiny.yaml",
        yaml="name: tiny\n",
        written="2026-01-01 00:00 UTC",
        question="Does MNLI help XNLI in 2 languages?",
    )


@pytest.fixture(scope="package")
def folder(tables: Tables, facts: Facts, tmp_path_factory: pytest.TempPathFactory) -> Path:
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
