"""Facts of an experiment on a store: what was trained, by what, what failed, and no secrets."""

import json
from pathlib import Path

import pytest

from stilts.ledger.record import write_stage
from stilts.ledger.spending import Spending, write_spending
from stilts.session import Session
from stilts.show.html.facts import gather_facts

SECRET = "a-very-long-secret-value"

EXPERIMENT = """\
name: tiny
store: {folder}/store
seeds: [1, 2]
models:
  tiny:
    init:
      config: {{model_type: xlm-roberta, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}}
      tokenizer: {{vocab_size: 300}}
intermediates: [none]
targets:
  xnli: {{languages: [en]}}
recipe: {{precision: fp32, max_steps: 2}}
data:
  xtreme: {folder}/xtreme
  tasks:
    mlm: {{train: "{folder}/{{lang}}.txt"}}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "xtreme" / "xnli"
    folder.mkdir(parents=True)
    for file in ("train-en.tsv", "dev-en.tsv", "test-en.tsv"):
        (folder / file).write_text("A man eats.\tSomebody eats.\tentailment\n")
    (tmp_path / "en.txt").write_text("A man eats.\nSomebody sleeps.\n")
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT.format(folder=tmp_path))
    return path


def test_facts_are_those_of_the_records(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session.open(experiment)
    monkeypatch.setenv("SOME_TOKEN", SECRET)
    base, done, failed = (node.name for node in session.expansion.graph)
    record = {
        "weights": None,
        "train": {"steps": 2, "examples": 64, "tokens": 640, "seconds": 1800.0},
        "runtime": {"ranks": 4},
        "speed": {"kind": "gpu", "flops": 1e12},
        "versions": {"stilts": "0.1.0", "torch": "2.9"},
        "host": "node-1",
        "finished": "2026-01-01T00:00:00Z",
    }
    write_stage(session.store, done, record)
    failure = {"schema": 1, "status": "diverged", "error": f"loss is nan with {SECRET}", "time": 0}
    session.store.write(f"stages/{failed}/failure.json", json.dumps(failure).encode())
    write_spending(session.store, "tiny", "first", Spending(3.5, 0.0, 1), "")

    facts = gather_facts(session, f"stilts report tiny.yaml --set store=s3://{SECRET}@bucket")

    rows = {row["name"]: row for row in facts.stages.to_pylist()}
    assert list(rows) == [base, done, failed]
    assert rows[done]["rank_hours"] == 2.0
    assert (rows[done]["accelerator"], rows[done]["tokens"], rows[done]["host"]) == ("gpu", 640, "node-1")
    assert rows[done]["bytes"] > 0
    assert (rows[failed]["state"], rows[failed]["seconds"], rows[failed]["bytes"]) == (
        "diverged",
        None,
        len(json.dumps(failure)),
    )
    assert rows[base]["tokens"] is None
    plan = facts.plan.to_pylist()[0]
    assert (plan["cells"], plan["stages"], plan["diverged"]) == (2, 2, 1)
    assert (plan["trained_rank_hours"], plan["spent_gpu_hours"], plan["launches"]) == (2.0, 3.5, 1)
    assert (plan["spent"], plan["expected"], plan["currency"]) == (None, None, None)
    assert facts.versions == {"stilts": {"0.1.0": 1}, "torch": {"2.9": 1}}
    assert facts.hosts == {"node-1": 1}
    assert "initialised at random (xlm-roberta)" in facts.models["tiny"]
    assert {ref["task"] for ref in facts.data} == {"mlm", "xnli"}
    everything = repr(facts) + repr(facts.stages.to_pylist())
    assert "loss is nan with [SOME_TOKEN]" in everything
    assert SECRET not in everything


def test_prices_give_costs(experiment: Path) -> None:
    slow = "cluster.nodes={head: {max_nodes: 2, price_per_hour: 2.0, cpus: 4, flops: 1000}}"
    session = Session.open(experiment, [slow])
    write_spending(session.store, "tiny", "first", Spending(1.0, 2.0, 1), "USD")
    plan = gather_facts(session, "").plan.to_pylist()[0]
    assert (plan["spent"], plan["currency"]) == (2.0, "USD")
    assert plan["expected"] > 0
