"""Rows of tables for figures, and the names derived from them."""

import pyarrow as pa

from stilts.show.figures.rows import baseline_of, in_order, lacking, pick, slug

NONE = dict.fromkeys(("failed", "diverged", "not_run", "missing", "unlabelled"), 0)


def test_rows_are_picked_by_values_and_nulls():
    tables = {"selection": pa.table({"target": ["xnli", "xnli", "panx"], "seed": [None, 1, None]})}
    assert pick(tables, "selection", target="xnli", seed=None) == [{"target": "xnli", "seed": None}]
    assert len(pick(tables, "selection", target="xnli")) == 2
    assert pick(tables, "robustness", target="xnli") == []


def test_what_seeds_lack_is_counted_worst_first():
    assert lacking({**NONE, "planned": 5, "not_run": 5}) == "not run"
    assert lacking({**NONE, "planned": 5, "missing": 2, "failed": 1}) == "1 failed, 2 missing"
    assert lacking({**NONE, "planned": 5}) == ""


def test_the_baseline_is_named_by_the_rows_of_others():
    assert baseline_of([{"baseline": None}, {"baseline": "none"}]) == "none"
    assert baseline_of([]) is None


def test_targets_have_the_order_of_the_summary():
    tables = {"summary": pa.table({"column": ["xnli", "panx", "xnli"]})}
    assert in_order(tables, ["mine", "panx", "xnli", "panx"]) == ["xnli", "panx", "mine"]
    assert in_order({}, ["b", "a"]) == ["b", "a"]


def test_a_slug_is_safe_in_files_and_ids():
    assert slug("squad_100%", "a/b c", "test") == "squad_100-a-b-c-test"
