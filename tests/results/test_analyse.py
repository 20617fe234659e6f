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
from stilts.storage.local import LocalStore


class Rows:
    """Ten rows of every task, split and language."""

    def has(self, task, split, language):
        return True

    def ref(self, task, split, language):
        return DataRef(task.name, split, language, f"sha256:{task.name}{split}{language}", rows=10)


@pytest.fixture
def expansion():
    declared = {
        "name": "x", "seeds": (1, 2), "targets": ["xnli"], "languages": ("en", "de"),
        "models": {"m": {"hub": "FacebookAI/xlm-roberta-base", "revision": "main"}}, "intermediates": ["none", "mnli"],
    }  # fmt: skip
    return expand(Experiment.model_validate(declared), Rows())


def run(expansion, store, dev, gain):
    """Store what a run would: of each regime its score on dev, and on test 40, 50 in German, and its gain."""
    for cell in expansion.cells:
        (branch,) = cell.branches
        name = expansion.graph.nodes[branch.chain[-1]].name
        write_stage(store, name, {"name": name})
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
