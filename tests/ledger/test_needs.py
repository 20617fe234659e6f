"""What an experiment needs is written before anything runs, and read back without its sources."""

import json
import threading
from pathlib import Path

import pytest
import yaml

from stilts.identity.stage import SHORT
from stilts.ledger.needs import CLEANING, Declaration, dead_runs, declarations, forget, running, runs
from stilts.session import Session
from stilts.storage.lease import Lease, holder
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Corrupt

EXPERIMENT = """\
name: needy
store: {folder}/store
seeds: [1, 2]
models:
  tiny:
    init:
      config: {{model_type: xlm-roberta, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}}
      tokenizer: {{vocab_size: 400}}
intermediates: [none, hellaswag]
targets: [xnli, tatoeba]
recipe: {{precision: fp32, max_steps: 2}}
data: {{generate: {{languages: 2, sentences: 60}}}}
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("needy")
    (folder / "needy.yaml").write_text(EXPERIMENT.format(folder=folder))
    return Session.open(folder / "needy.yaml")


def test_a_declaration_lists_all_that_its_graph_holds(session: Session) -> None:
    session.declare()
    (found,) = declarations(session.store)
    assert found.needs is not None
    nodes = {node.key[:SHORT]: node for node in session.expansion.graph}
    assert set(found.needs.stages) == set(nodes)
    for key, node in nodes.items():
        stage = found.needs.stages[key]
        assert set(stage.evaluations) == set(node.evaluations)
        assert stage.feeds == stage.keeps == bool(node.children)
    assert found.needs.cells == len(session.expansion.cells) == 8
    assert {ref.path for ref in session.data} < set(found.needs.data)
    generated = next(path for path in found.needs.data if path.startswith("data/generated-"))
    assert session.store.measure(generated) is not None


def test_the_text_of_a_tokenizer_is_among_the_data(session: Session) -> None:
    assert any(ref.task == "mlm" for ref in session.data)


def test_the_list_is_there_before_the_declaration(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between the two leaves a list alone, which counts; the other way round nobody would know the needs."""
    store = session.store
    written: list[str] = []
    write = LocalStore.write
    monkeypatch.setattr(
        LocalStore, "write", lambda self, path, content: (written.append(path), write(self, path, content))
    )
    session.declare()
    (stored,) = declarations(store)
    ours = [path for path in written if path.startswith("experiments/needy")]
    assert ours[:2] == [stored.path.removesuffix(".yaml") + ".json", stored.path]
    assert all(path.startswith("experiments/needy/known/") for path in ours[2:])
    store.remove(stored.path)
    assert declarations(store) == [stored]
    session.declare()


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b'{"schema": 1}'])
def test_what_cannot_be_read_is_not_known(session: Session, tmp_path: Path, content: bytes | None) -> None:
    store = LocalStore(tmp_path)
    store.write("experiments/old/abc.yaml", b"name: old\n")
    if content is not None:
        store.write("experiments/old/abc.json", content)
    assert declarations(store) == [Declaration("old", "abc", None)]


def test_a_newer_list_is_refused(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("experiments/new/abc.json", json.dumps({"schema": 99}).encode())
    with pytest.raises(Corrupt, match="newer stilts"):
        declarations(store)


def test_planning_completes_the_declarations_of_an_older_stilts(session: Session) -> None:
    """Of the same experiment, whatever fields its version did not have; not of another one with that name."""
    session.declare()
    (stored,) = declarations(session.store)
    content = yaml.safe_load(session.store.read(stored.path) or b"")
    forget(session.store, stored)
    del content["noise"]
    session.store.write("experiments/needy/0ld.yaml", yaml.safe_dump(content).encode())
    session.store.write("experiments/needy/other.yaml", yaml.safe_dump({**content, "seeds": [7]}).encode())
    session.complete_declarations()
    found = {declaration.digest: declaration.needs for declaration in declarations(session.store)}
    assert found["0ld"] is not None
    assert found["other"] is None
    for declaration in declarations(session.store):
        forget(session.store, declaration)


def test_a_run_declares_waits_for_a_cleaner_and_is_known_until_its_end(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    told: list[str] = []
    declared = threading.Event()
    go_on = threading.Event()
    at_work = threading.Event()

    def run() -> None:
        with running(store, "exp", declared.set, told.append):
            at_work.set()
            go_on.wait(30)

    with Lease(store, CLEANING):
        thread = threading.Thread(target=run)
        thread.start()
        assert not declared.wait(1.5)
    assert at_work.wait(30)
    assert declared.is_set()
    assert told
    assert len(runs(store, "exp")) == 1
    assert dead_runs(store, "exp") == []
    assert holder(store, CLEANING) is None
    go_on.set()
    thread.join(30)
    assert runs(store, "exp") == {}
    assert list(store.list("experiments/exp/runs")) == []


def test_a_run_clears_what_killed_runs_left(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("experiments/exp/runs/dead/claims/1.json", b"")
    with running(store, "exp", lambda: None, lambda who: None):
        assert dead_runs(store, "exp") == []
        assert len(runs(store, "exp")) == 1
