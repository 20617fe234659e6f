"""The tables of the report alone: finished cells, targets that regimes helped, and the scores of seeds."""

from stilts.show.html.overview import ALL, OVERVIEW, SEEDS, overview, seeds_table
from tests.results.conftest import Grid


def acc(value):
    return {"en": {"accuracy": value}, "de": {"accuracy": value}}


def study() -> Grid:
    grid = Grid()
    for seed, noise in ((1, 0.0), (2, 0.1), (3, 0.2)):
        grid.add("none", "xnli", seed, acc(50.0 + noise))
        grid.add("none", "pawsx", seed, acc(60.0 + noise))
        grid.add("mnli", "xnli", seed, acc(60.0 + 2 * noise))
        grid.add("mnli", "pawsx", seed, acc(60.0 + noise * (-1) ** seed))
    grid.add("squad", "xnli", 1, acc(70.0) | {"de": "missing"}, status="failed", error="out of memory")
    return grid


def test_cells_are_counted_and_targets_compared():
    tables = study().tables()
    found = overview(tables["results"], tables["summary"])
    assert found.schema == OVERVIEW
    rows = {row["intermediate"]: row for row in found.to_pylist()}
    assert list(rows) == [ALL, "none", "mnli", "squad"]
    assert (rows[ALL]["cells"], rows[ALL]["finished"], rows[ALL]["failed"]) == (13, 12, 1)
    assert (rows["squad"]["cells"], rows["squad"]["finished"], rows["squad"]["failed"]) == (1, 0, 1)
    compared = ("compared", "better", "worse", "unclear")
    assert [rows["mnli"][name] for name in compared] == [2, 1, 0, 1]
    assert [rows["none"][name] for name in compared] == [None] * 4
    assert [rows[ALL][name] for name in compared] == [None] * 4


def test_without_results_there_are_no_rows():
    tables = Grid().tables()
    assert len(overview(tables["results"], tables["summary"])) == len(seeds_table(tables["results"])) == 0


def test_every_seed_has_its_score_and_shared_artifacts_count_once():
    grid = study()
    for seed in (1, 2):
        grid.add("none", "tatoeba", seed, acc(30.0), stage="base")
    found = seeds_table(grid.table())
    assert found.schema == SEEDS
    rows = found.to_pylist()
    none = [(row["seed"], row["value"]) for row in rows if (row["intermediate"], row["column"]) == ("none", "xnli")]
    assert none == [(1, 50.0), (2, 50.1), (3, 50.2)]
    assert [row["seed"] for row in rows if row["column"] == "tatoeba"] == [1]
    (failed,) = [row for row in rows if row["intermediate"] == "squad"]
    assert (failed["value"], failed["status"]) == (None, "failed")
