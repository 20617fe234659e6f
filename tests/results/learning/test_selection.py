"""What the choice of a checkpoint costs, against numbers worked out by hand."""

import csv
import io
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console
from scipy import stats

from stilts.experiment.recipe import Recipe
from stilts.identity.stage import DataRef, Part, StageSpec
from stilts.results.learning.curves import POINTS, curves_table, thin
from stilts.results.learning.selection import selection_table
from stilts.results.learning.stages import UsedStage
from stilts.show.grid import latex, markdown, show
from stilts.show.learning import HOW_TO_GET_THEM, UPPER_BOUND, selection_grids
from stilts.show.text import escape_markdown, to_csv

DEV = DataRef("xnli", "dev", "en", "sha256:dev")
SPEC = StageSpec("parent", (Part("xnli", 1, (), DEV, Recipe()),), None, Recipe())
ENGLISH = [(10, 50.0), (20, 70.0), (30, 60.0)]
DE, ZH = [40.0, 45.0, 55.0], [35.0, 41.0, 33.0]


def _stage(seed: int = 1, scores: dict[tuple[str, str], list[float]] | None = None, **fields: Any) -> UsedStage:
    """A target's stage with scores by (split, language) at three checkpoints; English dev takes the second."""
    languages = None
    if scores is not None:
        watched = [{"task": "xnli", "split": split, "language": language} for split, language in scores]
        curve = [(step, [values[i] for values in scores.values()]) for i, (step, _) in enumerate(ENGLISH)]
        languages = {"watched": watched, "curve": curve}
    record = {
        "train": {"steps": 30, "losses": [(step, 1 / step) for step in range(1, 31)], "best_step": 20},
        "dev": {"curve": ENGLISH, "languages": languages},
    }
    place = ("base", "none", "xnli", "xnli", seed, f"stage-{seed}", "target", True, SPEC)
    return UsedStage(*place, **{"status": "done", "record": record, **fields})


def _only(table: pa.Table, seed: int | None, language: str, split: str = "dev") -> dict[str, Any]:
    [row] = [
        row for row in table.to_pylist() if (row["seed"], row["language"], row["split"]) == (seed, language, split)
    ]
    return row


def test_one_seed_on_one_split() -> None:
    table = selection_table([_stage(scores={("dev", "de"): DE, ("dev", "zh"): ZH})])
    de, zh, mean = (_only(table, 1, language) for language in ("de", "zh", "mean"))
    # Means of the checkpoints: 37.5, 43, 44; the last is the best for both together, and for German.
    assert [de[name] for name in ("best_dev", "last", "oracle", "shared")] == [45, 55, 55, 55]
    assert [zh[name] for name in ("best_dev", "last", "oracle", "shared")] == [41, 33, 41, 33]
    assert [mean[name] for name in ("best_dev", "last", "oracle", "shared")] == [43, 44, 48, 44]
    assert [mean[name] for name in ("cost", "shared_cost", "gain")] == [5, 1, -1]
    assert (de["oracle_step"], zh["oracle_step"], mean["oracle_step"], mean["shared_step"]) == (30, 20, None, 30)
    assert {row["chosen_on"] for row in (de, zh, mean)} == {"dev"}
    assert (mean["checkpoints"], mean["steps"], mean["best_dev_step"]) == (3, 30, 20)


def test_what_is_chosen_on_dev_is_told_by_test() -> None:
    scores = {
        ("dev", "de"): DE,
        ("dev", "zh"): ZH,
        ("test", "de"): [44.0, 48.0, 46.0],
        ("test", "zh"): [30.0, 31.0, 39.0],
    }
    table = selection_table([_stage(scores=scores)])
    de, mean = _only(table, 1, "de", "test"), _only(table, 1, "mean", "test")
    assert (de["chosen_on"], de["best_dev"], de["oracle"], de["cost"]) == ("dev", 48, 46, -2)
    assert (mean["best_dev"], mean["shared"], mean["oracle"]) == (39.5, 42.5, 38.5)


def test_english_dev_has_no_oracle_but_itself() -> None:
    english = _only(selection_table([_stage()]), 1, "en")
    assert (english["status"], english["best_dev"], english["last"], english["gain"]) == ("ok", 70, 60, 10)
    assert english["oracle"] is english["cost"] is None


def test_over_seeds_there_are_intervals_of_the_differences() -> None:
    scores = [{("dev", "de"): [40.0, 45.0, last]} for last in (46.0, 47.0, 51.0)]
    table = selection_table([_stage(seed, found) for seed, found in enumerate(scores)])
    row = _only(table, None, "de")
    assert (row["n"], row["planned"], row["cost"], row["status"]) == (3, 3, 3, "ok")
    low, high = stats.t.interval(0.95, 2, loc=3, scale=stats.sem([1, 2, 6]))
    assert (row["cost_low"], row["cost_high"]) == (pytest.approx(low), pytest.approx(high))
    assert row["cost_sd"] == pytest.approx(7**0.5)


def test_seeds_without_numbers_are_counted_and_say_why() -> None:
    both: dict[tuple[str, str], list[float]] = {("dev", "de"): DE, ("dev", "zh"): ZH}
    stages = [
        _stage(1, both),
        _stage(2, {("dev", "de"): DE}),
        _stage(3, status="diverged", record=None),
        _stage(4, {("dev", "de"): DE}, status="missing", record=None),
    ]
    table = selection_table(stages)
    over = _only(table, None, "de")
    assert (over["n"], over["planned"], over["cost"], over["status"]) == (1, 4, 10, "diverged")
    assert (over["cost_sd"], over["cost_low"]) == (None, None)
    statuses = [_only(table, seed, "de")["status"] for seed in (1, 2, 3, 4)]
    assert statuses == ["ok", "no language curves", "diverged", "missing"]
    assert _only(table, None, "en")["n"] == 2


def test_a_curve_that_lacks_checkpoints_is_none() -> None:
    """As after a run that was begun without them and resumed with them."""
    stage = _stage(scores={("dev", "de"): DE})
    assert stage.record is not None
    del stage.record["dev"]["languages"]["curve"][0]
    assert _only(selection_table([stage]), 1, "mean")["status"] == "no language curves"


def test_a_stage_without_dev_evaluations_took_its_last_weights() -> None:
    stage = _stage()
    assert stage.record is not None
    stage.record["dev"]["curve"] = []
    table = selection_table([stage])
    assert {row["status"] for row in table.to_pylist()} == {"last weights"}


def test_curves_are_thinned_to_means_of_steps() -> None:
    losses = [(step, float(step)) for step in range(1, 1002)]
    points = list(thin(losses))
    assert len(points) == 167 <= POINTS
    assert points[0] == {"step": 6, "value": 3.5, "steps": 6}
    assert points[-1] == {"step": 1001, "value": 999.0, "steps": 5}
    assert sum(point["value"] * point["steps"] for point in points) == sum(value for _, value in losses)
    assert list(thin(losses[:200])) == [{"step": s, "value": v, "steps": 1} for s, v in losses[:200]]
    assert list(thin([])) == []


def test_curves_have_every_series() -> None:
    table = curves_table(
        [_stage(scores={("dev", "de"): DE, ("test", "de"): ZH}), _stage(2, status="failed", record=None)]
    )
    rows = table.to_pylist()
    assert {row["seed"] for row in rows} == {1}
    found = {(s, sp, la): [r["value"] for r in rows if (r["series"], r["split"], r["language"]) == (s, sp, la)]
             for s, sp, la in dict.fromkeys((r["series"], r["split"], r["language"]) for r in rows)}  # fmt: skip
    assert found.pop(("loss", None, None)) == [1 / step for step in range(1, 31)]
    assert found == {
        ("dev", "dev", "en"): [50.0, 70.0, 60.0],
        ("language", "dev", "de"): DE,
        ("language", "test", "de"): ZH,
    }


def _printed(table: pa.Table) -> str:
    console = Console(file=io.StringIO(), width=200)
    show(console, selection_grids(table, brief=True))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_views_have_the_numbers_of_the_table() -> None:
    table = selection_table([_stage(s, {("dev", "de"): [40.0, 45.0, 46.0 + s], ("dev", "zh"): ZH}) for s in (1, 2)])
    over = _only(table, None, "mean")
    cost = f"{over['cost']:+.1f} [{over['cost_low']:+.1f}, {over['cost_high']:+.1f}]"
    assert cost == "+1.2 [-1.9, +4.4]"
    assert cost in _printed(table)
    assert UPPER_BOUND in _printed(table).replace("\n", " ")
    assert "| base | none | mean | 2 | 20 of 30 | 43.0 |" in markdown(selection_grids(table))
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert len(rows) == table.num_rows
    assert float(next(r for r in rows if r["seed"] == "" and r["language"] == "mean")["cost"]) == over["cost"]
    assert latex(selection_grids(table)).count("\\toprule") == 1


def test_without_curves_the_files_say_how_to_get_them_and_the_terminal_is_quiet() -> None:
    table = selection_table([_stage()])
    text = markdown(selection_grids(table))
    assert "| base | none | mean | 0 of 1: no language curves |" in text
    assert escape_markdown(HOW_TO_GET_THEM) in text
    assert _printed(table) == ""
