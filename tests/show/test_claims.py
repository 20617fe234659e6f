"""Claims as text and as JSON."""

import json

import pyarrow as pa
import pytest

from stilts.results.claims.table import CLAIMS
from stilts.results.claims.verify import Verification
from stilts.show.claims import claims_grids, claims_json, estimate, verification_grid

ROW = {
    "claim": "helps",
    "kind": "difference",
    "text": "SQuAD helps.",
    "source": "a paper",
    "differs": "the model",
    "tested": "squad less none on tydiqa, test: above 0",
    "verdict": "undecided",
    "estimate": 3.25,
    "low": -0.51,
    "high": 7.04,
    "level": 0.975,
    "unit": "points",
    "of": "seeds",
    "n": 3,
    "planned": 5,
    "claims": 2,
    "seeds_needed": 9,
    "results": 6,
    "results_planned": 10,
    "stages": ["a"],
    "declared": "2026-01-02T03:04:05+00:00",
    "results_then": 2,
}
TABLE = pa.Table.from_pylist([ROW, {**ROW, "claim": "new", "declared": None, "low": None, "high": None}], schema=CLAIMS)


def test_a_claim_is_a_row_with_its_interval_and_its_history() -> None:
    (grid,) = claims_grids(TABLE)
    first, second = grid.rows
    assert first[2:] == ("+3.2 [-0.5, +7.0]", "3/5", ROW["tested"], "2026-01-02, 2 of 10")
    assert second[2:] == ("+3.2", "3/5", ROW["tested"], "not recorded")
    assert grid.notes[:3] == (
        "helps: 6 of its 10 results exist",
        "helps: about 9 seeds would decide it, if the estimate is right",
        "helps: claimed by a paper; this experiment differs in the model",
    )


@pytest.mark.parametrize(
    ("unit", "text"), [("share", "0.50 [0.25, 0.75]"), ("r", "+0.50 [+0.25, +0.75]"), ("ratio", "0.50 [0.25, 0.75]")]
)
def test_units_have_their_digits(unit: str, text: str) -> None:
    assert estimate({**ROW, "unit": unit, "estimate": 0.5, "low": 0.25, "high": 0.75}) == text


def test_without_claims_there_is_no_grid() -> None:
    assert list(claims_grids(TABLE.slice(0, 0))) == []


def test_the_file_holds_every_column_and_the_command() -> None:
    found = json.loads(claims_json(TABLE, "first", "stilts claims first.yaml"))
    assert (found["experiment"], found["command"]) == ("first", "stilts claims first.yaml")
    assert found["claims"][0] == {**ROW, "note": None}


def test_a_verification_shows_both_verdicts() -> None:
    row = {"claim": "helps", "reported": "supported", "recomputed": "undecided", "agrees": False}
    found = Verification([{**row, "reported_estimate": 1.0, "recomputed_estimate": None}], [], 12, "claims.json")
    grid = verification_grid(found)
    assert grid.rows[0][:5] == ("helps", "supported", "undecided", "1.000", "-")
    assert "12 evaluations" in grid.legend[0]
    assert not found.agrees
