"""All tables of the analyses, from an experiment and what its store holds."""

import pytest

from stilts.experiment.experiment import Experiment
from stilts.identity.stage import DataRef
from stilts.ledger.record import write_evaluation, write_stage
from stilts.plan.expand import expand
from stilts.results import best, published
from stilts.results.aggregate import languages_table, summary_table
from stilts.results.analyse import analysis_tables
from stilts.results.gather import gather
from stilts.results.seed_statistics import Options
from stilts.results.similarity import similarity
from stilts.results.variance import variance_table
from stilts.storage.local import LocalStore


class Rows:
    """Ten rows of every task, split and language."""

    def has(self, task, split, language):
        return True

    def ref(self, task, split, language):
        return DataRef(task.name, split, language, f"sha256:{task.name}{split}{language}", rows=10)


def declared(**fields):
    common = {
        "name": "x", "seeds": (1, 2), "targets": ["xnli"], "languages": ("en", "de"),
        "models": {"m": {"hub": "FacebookAI/xlm-roberta-base", "revision": "main"}}, "intermediates": ["none", "mnli"],
    }  # fmt: skip
    return expand(Experiment.model_validate(common | fields), Rows())


@pytest.fixture
def expansion():
    return declared()


def run(expansion, store, dev, gain):
    """Store records as a run does: each regime has its dev score, and on test 40 (German 50) plus its gain."""
    for cell in expansion.cells:
        (branch,) = cell.branches
        name = expansion.graph.nodes[branch.chain[-1]].name
        write_stage(store, name, {"weights": None})
        for spec in (branch.selection, *branch.evaluations):
            test = 40.0 + 10 * (spec.language == "de") + gain[cell.intermediate]
            score = dev[cell.intermediate] if spec is branch.selection else test
            record = {"examples": 10, "metrics": {"accuracy": score}, "extra": {}}
            write_evaluation(store, name, spec, b"entailment\n", ".tsv", record)


def make(expansion, store):
    results = gather(expansion, store)
    languages = languages_table(results, summary_table(results, Options()), Options())
    return analysis_tables(expansion, store, results, languages, "none")


def test_the_tables_are_of_what_the_store_holds(expansion, tmp_path):
    store = LocalStore(tmp_path)
    run(expansion, store, dev={"none": 70, "mnli": 75}, gain={"none": 0, "mnli": 3})
    tables = make(expansion, store)
    chosen = tables["best"].to_pylist()[0]
    assert (chosen["intermediate"], chosen["dev"], chosen["test"], chosen["difference"]) == ("mnli", 75, 48, 3)
    points = {(point["target"], point["language"]): point for point in tables["similarity_points"].to_pylist()}
    assert points.keys() == {("xnli", "de"), ("all", "de")}
    assert (points["xnli", "de"]["gain"], points["xnli", "de"]["pretraining_size"]) == (3, 66.6)
    beside = next(row for row in tables["published"].to_pylist() if row["column"] == "xnli")
    assert (beside["ours_model"], beside["note"]) == ("m", "2 of 15 languages")


def test_an_experiment_that_has_not_run_has_tables_without_numbers(expansion, tmp_path):
    tables = make(expansion, LocalStore(tmp_path))
    schemas = {
        "best": best.SCHEMA, "published": published.SCHEMA,
        "similarity": similarity.CORRELATIONS, "similarity_points": similarity.POINTS,
    }  # fmt: skip
    assert {name: table.schema for name, table in tables.items()} == schemas
    assert tables["best"].to_pylist()[0]["note"] == "no dev score"
    assert tables["best"]["test"].null_count == len(tables["best"])
    assert tables["published"]["ours"].null_count == len(tables["published"])
    assert len(tables["similarity"]) == 0


def test_seeds_of_parts_reach_the_table_of_the_variance(tmp_path):
    """By hand: mean square between the orders 18, within them 2; the heads are all different."""
    parts = {"order": [1, 1, 2, 2, 3, 3], "dropout": 1, "data": 1}
    expansion = declared(seeds=(1, 2, 3, 4, 5, 6), seed_parts=parts, intermediates=["none"], languages=("de",))
    store = LocalStore(tmp_path)
    for cell, value in zip(expansion.cells, [61.0, 63.0, 64.0, 66.0, 67.0, 69.0], strict=True):
        (branch,) = cell.branches
        name = expansion.graph.nodes[branch.chain[-1]].name
        write_stage(store, name, {"weights": None})
        for spec in branch.evaluations:
            record = {"examples": 10, "metrics": {"accuracy": value}, "extra": {}}
            write_evaluation(store, name, spec, b"entailment\n", ".tsv", record)
    (row,) = variance_table(gather(expansion, store)).to_pylist()
    assert row["varied"] == "order, head"
    assert (row["order_sd"] ** 2, row["residual_sd"] ** 2) == (pytest.approx(8), pytest.approx(2))
    assert variance_table(gather(declared(), store)).to_pylist()[0]["varied"] == "order, head, dropout, data"
