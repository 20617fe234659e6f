"""run_stage in one process: a mixture from its files to its records."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from stilts.errors import StiltsError
from stilts.identity.stage import SHORT, StageSpec
from stilts.ledger.record import (
    clear_failure,
    drop_weights,
    read_ending,
    read_failure,
    read_stage,
    take_inventory,
    write_failure,
)
from stilts.ledger.settle import settle
from stilts.plan.todo import missing_jobs
from stilts.results.training import training_table
from stilts.run.stage import stage
from stilts.run.stage.stage import run_stage
from stilts.session import Session
from stilts.show.training import training_grids
from stilts.storage.lease import holder
from stilts.tasks.base import get_task
from stilts.train.loop import Diverged
from stilts.train.model import Model, as_trained
from stilts.train.ranks import Ranks
from tests.tiny import TINY

EXPERIMENT = (
    """\
name: joint
store: store
seeds: [1]
"""
    + TINY
    + """\
intermediates:
  joint:
    stages:
      - mix:
          sampling: uniform
          tasks:
            anli_plus: {recipe: {max_length: 64}}
            ccg: {recipe: {max_length: 48}}
            mlm: {probability: 0.25, recipe: {max_length: 40}}
            squad: {recipe: {max_length: 96, stride: 32}}
        recipe: {max_tokens: 12000, evaluate_every: 5, selection: best-dev}
targets: [tatoeba, xnli]
recipe: {precision: fp32, learning_rate: 1e-3, max_steps: 4, batch_size: 8, max_length: 64}
settings: {tatoeba: {max_length: 96}}
data:
  generate: {languages: 2, sentences: 60}
  tasks:
    anli: {train: nli.jsonl, dev: nli.jsonl}
    snli: {train: nli.jsonl}
    mnli: {train: nli.jsonl}
    ccg: {train: ccg.tsv, dev: ccg.tsv}
runtime: {checkpoint_seconds: 600}
"""
)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("joint")
    text = EXPERIMENT.replace("store: store", f"store: {folder / 'store'}")
    for name in ("nli.jsonl", "ccg.tsv"):
        text = text.replace(name, str(folder / name))
    (folder / "joint.yaml").write_text(text)
    labels = ("entailment", "neutral", "contradiction")
    rows = [{"premise": f"one {i}", "hypothesis": f"two {i}", "label": labels[i % 3]} for i in range(12)]
    (folder / "nli.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "ccg.tsv").write_text("one two three\tN/N N (S\\NP)/NP\nfour five\tN (S\\NP)\n" * 6)
    return Session.open(folder / "joint.yaml")


@pytest.fixture(scope="module")
def done(session: Session, ranks: Ranks) -> dict[str, Any]:
    """Every stage of the experiment, run in its order; the record of the mixture."""
    for ref in session.data:
        session.catalog.materialise(ref)
    jobs = list(session.plan().jobs.values())
    reports: list[dict[str, Any]] = []
    for job in jobs:
        run_stage(job, ranks, reports.append)
    session.declare()
    settle(session.store, session.experiment.name)
    assert {"features of ccg", "features of mlm"} <= {report.get("phase") for report in reports}
    joint = next(job for job in jobs if isinstance(job.spec, StageSpec) and len(job.spec.parts) == 4)
    folder = Path(session.store.uri) / "stages" / joint.name
    return {"folder": folder, **json.loads((folder / "record.json").read_text())}


def test_the_record_tells_every_task(done: dict[str, Any]) -> None:
    parts = done["train"]["parts"]
    assert set(parts) == {"anli_plus", "ccg", "mlm", "squad"}
    steps = {task: part["steps"] for task, part in parts.items()}
    assert sum(steps.values()) == done["train"]["steps"]
    assert abs(steps["mlm"] - done["train"]["steps"] / 4) < 1
    for counted in ("examples", "tokens"):
        assert sum(part[counted] for part in parts.values()) == done["train"][counted]
    assert abs(done["train"]["tokens"] - 12000) < 3000
    assert all(part["losses"] for part in parts.values())


def test_the_dev_score_is_the_mean_of_the_tasks_that_have_one(done: dict[str, Any]) -> None:
    dev = done["dev"]
    assert set(dev["parts"]) == {"anli_plus", "ccg", "squad"}
    assert dev["score"] == pytest.approx(sum(dev["parts"].values()) / 3)
    assert dev["score"] == max(score for _, score in dev["curve"])


def test_heads_and_labels_are_listed(done: dict[str, Any]) -> None:
    heads = {head["name"]: head for head in json.loads((done["folder"] / "weights" / "head.json").read_text())["heads"]}
    assert {name: head["family"] for name, head in heads.items()} == {
        "nli": "classification",
        "ccg": "tagging",
        "mlm": "mlm",
        "squad": "span_qa",
    }
    assert heads["ccg"]["labels"] == ["(S\\NP)", "(S\\NP)/NP", "N", "N/N"]


def test_a_task_is_evaluated_with_its_own_head(done: dict[str, Any]) -> None:
    model = Model.reload(done["folder"] / "weights")
    assert as_trained(get_task("ccg"), model).labels == ("(S\\NP)", "(S\\NP)/NP", "N", "N/N")
    assert as_trained(get_task("mnli"), model) == get_task("mnli")
    assert as_trained(get_task("tatoeba"), model) == get_task("tatoeba")
    with pytest.raises(StiltsError, match="no head 'qqp'; it has nli, ccg, mlm, squad"):
        as_trained(get_task("qqp"), model)


def test_kept_weights_have_a_card_with_the_scores(done: dict[str, Any]) -> None:
    card = ModelCard.load(done["folder"] / "README.md")
    assert {"anli_plus", "ccg", "mlm", "squad"} < set(card.data.tags)
    scores = {found.dataset_config: found.metric_value for found in card.data.eval_results}
    records = [json.loads(path.read_text()) for path in done["folder"].glob("evaluations/tatoeba/*.record.json")]
    assert scores == {record["language"]: round(record["metrics"]["accuracy"], 2) for record in records} != {}
    cards = {path.parent.name for path in done["folder"].parent.glob("*/README.md")}
    assert cards == {done["folder"].name}  # the base model has weights, too, and the target's are not kept


def test_nothing_is_left_to_do(session: Session, done: dict[str, Any]) -> None:
    assert session.plan().jobs == {}


def test_what_another_driver_finished_meanwhile_is_not_trained_again(
    session: Session, done: dict[str, Any], ranks: Ranks
) -> None:
    """A plan found a target's weights and no evaluation; before its trial begins, the trial of a driver that was killed
    has evaluated them all, and dropped the weights that nothing starts from."""
    store, graph = session.store, session.expansion.graph
    target = next(node for node in graph if not node.children and not node.is_base)
    found = take_inventory(store)
    short = target.key[:SHORT]
    earlier = replace(found[short], weights=True, evaluations=frozenset())
    (job,) = missing_jobs(graph, {**found, short: earlier}, store.uri, session.experiment.runtime).values()
    before = read_stage(store, job.name)
    run_stage(job, ranks, lambda report: None)
    assert read_stage(store, job.name) == before
    settle(store, session.experiment.name)
    assert not take_inventory(store, {short})[short].weights


def test_weights_that_were_not_kept_are_made_again_for_keep_all(
    session: Session, done: dict[str, Any], ranks: Ranks
) -> None:
    """Everything is evaluated; only the weights of the target stages are missing. They come out as before."""
    store, graph = session.store, session.expansion.graph
    runtime = session.experiment.runtime.model_copy(update={"keep": "all"})
    job = next(iter(missing_jobs(graph, take_inventory(store), store.uri, runtime).values()))
    assert (job.trained, job.needed, job.evaluations) == (False, False, ())
    before = read_stage(store, job.name)
    assert before is not None
    run_stage(job, ranks, lambda report: None)
    after = read_stage(store, job.name)
    assert after is not None
    assert after["weights"] == before["weights"]
    store.fetch_tree(f"stages/{job.name}/weights", after["weights"])
    drop_weights(store, job.name)


@pytest.mark.parametrize("evaluated", [True, False])
def test_what_an_attempt_left_that_was_killed_after_its_record_goes(
    session: Session, done: dict[str, Any], ranks: Ranks, evaluated: bool
) -> None:
    """Its resume states, the halves of one, and weights that nothing starts from."""
    store, graph = session.store, session.expansion.graph
    parent = next(node for node in graph if node.key == done["key"])
    target = next(node for node in graph if not node.children and node.parent == parent.key)
    found = take_inventory(store)
    short = target.key[:SHORT]
    earlier = replace(found[short], weights=True, evaluations=frozenset())
    (job,) = missing_jobs(graph, {**found, short: earlier}, store.uri, session.experiment.runtime).values()
    job = replace(job, keep_weights=False)  # when it was planned, nothing was trained
    folder = Path(store.uri) / "stages" / job.name
    record = json.loads((folder / "record.json").read_text())
    manifest = store.put_tree(done["folder"] / "weights", f"stages/{job.name}/weights")
    (folder / "record.json").write_text(json.dumps({**record, "weights": manifest}))
    if not evaluated:
        for file in folder.glob("evaluations/*/*"):
            file.unlink()
    for name in ("resume", "resume.writing/one", "resume.old"):
        (folder / name).mkdir(parents=True)
        (folder / name / "state.json").write_text("{}")
    run_stage(job, ranks, lambda report: None)
    settle(store, session.experiment.name)
    assert sorted(path.name for path in folder.iterdir()) == ["claims", "evaluations", "record.json"]
    assert take_inventory(store, {short})[short].evaluations == found[short].evaluations


ROUNDED = (
    """\
name: rounded
store: store
seeds: [1]
languages: present
"""
    + TINY
    + """\
intermediates: {none: [], mnli: [mnli]}
targets: [tatoeba, xnli]
recipe: {precision: bf16, learning_rate: 1e-3, max_steps: 4, batch_size: 8, max_length: 64, selection: last}
settings: {tatoeba: {max_length: 96}}
data:
  generate: {languages: 1, sentences: 40}
  tasks: {mnli: {train: nli.jsonl}}
runtime: {weights: bf16, keep: all}
"""
)


def test_masters_are_kept_for_the_next_stage_and_rounded_for_use(tmp_path: Path, ranks: Ranks) -> None:
    text = ROUNDED.replace("store: store", f"store: {tmp_path / 'store'}")
    (tmp_path / "rounded.yaml").write_text(text.replace("nli.jsonl", str(tmp_path / "nli.jsonl")))
    rows = [
        {"premise": f"one {i}", "hypothesis": f"two {i}", "label": ["neutral", "entailment"][i % 2]} for i in range(9)
    ]
    (tmp_path / "nli.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    session = Session.open(tmp_path / "rounded.yaml")
    for ref in session.data:
        session.catalog.materialise(ref)
    jobs = list(session.plan().jobs.values())
    for job in jobs:
        run_stage(job, ranks, lambda _: None)
    for job in jobs:
        record = read_stage(session.store, job.name)
        assert record is not None
        last = isinstance(job.spec, StageSpec) and job.spec.parts[0].task == "xnli"
        assert record["weights_precision"] == ("bf16" if last else "fp32")
        folder = tmp_path / "store" / "stages" / job.name
        dtypes = {tensor.dtype for tensor in load_file(folder / "weights" / "model.safetensors").values()}
        assert dtypes == {torch.bfloat16 if last else torch.float32}
        # What is evaluated from the store is what was evaluated after training, base models included.
        before = {path.name: path.read_text() for path in folder.glob("evaluations/*/*.record.json")}
        assert before
        for path in folder.glob("evaluations/*/*.record.json"):
            path.unlink()
        run_stage(
            next(again for again in session.plan().jobs.values() if again.name == job.name), ranks, lambda _: None
        )
        assert before == {path.name: path.read_text() for path in folder.glob("evaluations/*/*.record.json")}
    base = next(job for job in jobs if not isinstance(job.spec, StageSpec))
    assert {spec.settings["precision"] for spec in base.evaluations} == {"bf16"}


def test_the_record_tells_what_chance_is(done: dict[str, Any]) -> None:
    """Twelve pairs of three labels; nothing is known of F1 and of losses."""
    assert done["dev"]["chance"] == {"anli_plus": {"score": pytest.approx(100 / 3), "examples": 12}}


def test_what_every_stage_learned_is_a_table(session: Session, done: dict[str, Any]) -> None:
    table = training_table(session.expansion, session.store).to_pylist()
    joint = {row["task"]: row for row in table if row["stage"] == done["name"]}
    assert set(joint) == {"anli_plus", "ccg", "mlm", "squad"}
    assert {row["phase"] for row in joint.values()} == {"intermediate"}
    nli = joint["anli_plus"]
    assert nli["margin"] == pytest.approx(200 * (2 / 9 / 12) ** 0.5)
    assert nli["learned"] == (nli["dev"] > nli["chance"] + nli["margin"])
    assert nli["own_steps"] == done["train"]["parts"]["anli_plus"]["steps"]
    assert joint["ccg"]["last_loss"] == pytest.approx(fmean(done["train"]["parts"]["ccg"]["losses"]))
    assert (nli["seed"], nli["order_seed"], nli["warmup_share"]) == (1, 1, pytest.approx(0.1))
    (grid,) = training_grids(pa.Table.from_pylist(table), brief=False)
    shown = {row[1]: row for row in grid.rows if row[0] == done["name"]}
    assert shown["anli_plus"][4] == "33.3"
    if not nli["learned"]:
        assert any(note.startswith("anli_plus: dev is not above chance") for note in grid.notes)


@pytest.fixture
def fresh(tmp_path: Path) -> Session:
    """An experiment with nothing in its store."""
    text = ROUNDED.replace("store: store", f"store: {tmp_path / 'store'}").replace(
        "targets: [tatoeba, xnli]", "targets: [xnli]"
    )
    text = text.replace("intermediates: {none: [], mnli: [mnli]}", "intermediates: {none: []}").replace(
        "  tasks: {mnli: {train: nli.jsonl}}\n", ""
    )
    (tmp_path / "fresh.yaml").write_text(text)
    session = Session.open(tmp_path / "fresh.yaml")
    for ref in session.data:
        session.catalog.materialise(ref)
    return session


def test_why_a_stage_failed_is_in_the_store_when_its_lease_is_released_and_a_success_removes_it(
    fresh: Session, ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(attempt: object, model: object) -> None:
        raise ValueError("bad data")

    base, target = fresh.plan().jobs.values()
    run_stage(base, ranks, lambda report: None)
    with monkeypatch.context() as patched:
        patched.setattr(stage, "evaluate_stage", broken)
        with pytest.raises(ValueError, match="bad data"):
            run_stage(target, ranks, lambda report: None)
    failure = read_failure(fresh.store, target.name)
    assert failure is not None
    assert (failure["status"], failure["attempt"], failure["rank"]) == ("failed", 1, 0)
    assert "in broken" in failure["traceback"]
    assert holder(fresh.store, f"stages/{target.name}") is None
    run_stage(fresh.plan().jobs[target.spec.key], ranks, lambda report: None)
    assert read_ending(fresh.store, target.name) is None


def test_a_stage_that_diverged_for_another_driver_meanwhile_is_not_trained_again(
    fresh: Session, ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, target = fresh.plan().jobs.values()
    run_stage(base, ranks, lambda report: None)
    ended = {"status": "diverged", "error": "the loss is nan at step 3", "attempt": 1, "pid": 7}
    write_failure(fresh.store, target.name, ended)
    with monkeypatch.context() as patched:
        patched.setattr(stage, "stage_model", lambda attempt, scratch: pytest.fail("it is trained again"))
        with pytest.raises(Diverged, match="nan at step 3"):
            run_stage(target, ranks, lambda report: None)
    assert (read_failure(fresh.store, target.name) or {})["pid"] == 7
    clear_failure(fresh.store, target.name)
    run_stage(target, ranks, lambda report: None)
    assert fresh.plan().jobs == {}
