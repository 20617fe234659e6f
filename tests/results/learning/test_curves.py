"""Learning curves: every series of a record, and losses averaged to few points."""

from stilts.results.learning.curves import POINTS, curves_table, thin
from tests.results.learning.conftest import DE, ZH, target_stage


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
        [target_stage(scores={("dev", "de"): DE, ("test", "de"): ZH}), target_stage(2, status="failed", record=None)]
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
