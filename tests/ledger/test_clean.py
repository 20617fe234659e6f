"""Cleaning: what goes, what stays whatever happens meanwhile, and what a kill in the middle leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.identity.stage import SHORT
from stilts.ledger.clean import clean
from stilts.ledger.garbage import OLD_LEASE_SECONDS, GarbageReport, find_garbage
from stilts.ledger.needs import CLEANING, Declaration, declarations
from stilts.ledger.record import read_stage, stage_path, take_inventory, write_evaluation, write_model_card, write_stage
from stilts.session import Session
from stilts.storage.lease import Lease, LeaseLost
from stilts.storage.local import STALE_SECONDS, LocalStore
from stilts.storage.protocol import Corrupt, Fence, Store
from stilts.tasks.base import get_task

EVERYWHERE = pytest.mark.parametrize("store", ["local", "s3"], indirect=True)
SLOWLY_ELSEWHERE = pytest.mark.parametrize(
    "store", ["local", pytest.param("s3", marks=pytest.mark.slow)], indirect=True
)
HERE = pytest.mark.parametrize("store", ["local"], indirect=True)

EXPERIMENT = """\
name: {name}
store: {store}
seeds: [1]
models:
  tiny:
    init:
      config: {{model_type: xlm-roberta, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}}
      tokenizer: {{vocab_size: 400}}
intermediates: {intermediates}
targets: {targets}
recipe: {{precision: fp32, max_steps: 2}}
data: {{generate: {{languages: 2, sentences: 60}}}}
runtime: {{keep: {keep}}}
"""


def experiment(
    store: Store,
    folder: Path,
    name: str = "one",
    intermediates: str = "[none, hellaswag]",
    targets: str = "[xnli, udpos]",
    keep: str = "intermediate",
) -> Session:
    """A declared experiment of which nothing has run."""
    text = EXPERIMENT.format(name=name, store=store.uri, intermediates=intermediates, targets=targets, keep=keep)
    (folder / f"{name}.yaml").write_text(text)
    session = Session.open(folder / f"{name}.yaml")
    session.declare()
    return session


def finish(session: Session, folder: Path, *, leaves: bool = False) -> None:
    """What a run leaves: weights (of leaves only where asked), records, evaluations."""
    store = session.store
    session.prepare()
    (folder / "made").mkdir(exist_ok=True)
    (folder / "made" / "model.safetensors").write_bytes(bytes(5000))
    for node in session.expansion.graph:
        if read_stage(store, node.name) is None:
            manifest = store.put_tree(folder / "made", f"{stage_path(node.name)}/weights")
            write_stage(store, node.name, {"name": node.name, "weights": manifest})
        for spec in node.evaluations.values():
            metrics = dict.fromkeys(get_task(spec.task).metrics, 50.0)
            write_evaluation(store, node.name, spec, b"entailment\n", ".tsv", {"metrics": metrics})
        if not (node.children or leaves):
            store.remove(f"{stage_path(node.name)}/weights")


def paths(found: GarbageReport) -> dict[str, str]:
    return {item.path: item.why for item in found.items}


def cleaned(store: Store, *forgotten: str) -> list[str]:
    found = find_garbage(store, forgotten)
    return [item.path for item in clean(store, found.items, forgotten, lambda who: None)]


def names(session: Session) -> set[str]:
    return {node.name for node in session.expansion.graph}


def age(folder: Path, seconds: float) -> None:
    past = time.time() - seconds
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (past, past), follow_symlinks=False)


# --- what goes ---------------------------------------------------------------------------------------------


@HERE
def test_of_a_finished_experiment_nothing_goes(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    finish(session, tmp_path)
    found = find_garbage(store)
    assert (found.items, found.unknown, found.held, found.unlisted) == ([], [], {}, [])
    ((declaration, size),) = found.declarations
    assert declaration.name == "one"
    assert size > 10_000


@EVERYWHERE
def test_a_forgotten_experiment_takes_only_what_it_alone_needs(store: Store, tmp_path: Path) -> None:
    one = experiment(store, tmp_path)
    two = experiment(store, tmp_path, "two", "[none, hellaswag]", "[udpos, tatoeba]")
    finish(one, tmp_path)
    finish(two, tmp_path)
    assert names(one) & names(two)
    assert find_garbage(store).items == []
    found = find_garbage(store, ["one"])
    alone = {stage_path(name) for name in names(one) - names(two)}
    assert {path for path in paths(found) if path.startswith("stages/") and "/evaluations/" not in path} == alone
    assert any(path.startswith("data/xnli/") for path in paths(found))
    assert found.bytes == sum(item.bytes for item in found.items) > 0
    done = cleaned(store, "one")
    assert set(done) == set(paths(found))
    assert [declaration.name for declaration in declarations(store)] == ["two"]
    assert two.plan(verify=True).jobs == {}
    assert all(ref.path not in done for ref in two.data)
    assert {name for name in store.list("stages") if read_stage(store, name)} == names(two)
    assert (find_garbage(store).items, find_garbage(store).unknown) == ([], [])


@HERE
def test_one_declaration_of_several_is_forgotten(store: Store, tmp_path: Path) -> None:
    """An experiment that was run with another target: both are kept until one is named."""
    first = experiment(store, tmp_path, targets="[xnli]")
    second = experiment(store, tmp_path, targets="[udpos]")
    finish(first, tmp_path)
    finish(second, tmp_path)
    stored = declarations(store)
    assert len(stored) == 2
    assert find_garbage(store).items == []
    mine = next(d for d in stored if d.needs and not {n[-SHORT:] for n in names(second)} >= set(d.needs.stages))
    cleaned(store, mine.id)
    assert len(declarations(store)) == 1
    assert second.plan(verify=True).jobs == {}
    assert first.plan().jobs


@HERE
def test_weights_go_that_no_keep_keeps(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    finish(session, tmp_path, leaves=True)
    leaves = {f"{stage_path(n.name)}/weights" for n in session.expansion.graph if not n.children}
    assert set(paths(find_garbage(store))) == leaves
    cleaned(store)
    assert session.plan(verify=True).jobs == {}
    everything = experiment(store, tmp_path, "all", keep="all")
    finish(everything, tmp_path, leaves=True)
    assert find_garbage(store).items == []


@HERE
def test_a_card_goes_with_its_weights(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    finish(session, tmp_path, leaves=True)
    for name in names(session):
        write_model_card(store, name, "---\n---\n")
    leaves = [stage_path(node.name) for node in session.expansion.graph if not node.children]
    dropped = {f"{leaf}/{part}" for leaf in leaves for part in ("README.md", "weights")}
    assert set(paths(find_garbage(store))) == dropped
    assert find_garbage(store).unknown == []
    assert set(cleaned(store)) == dropped
    cleaned(store, "one")
    assert not any("README.md" in store.list(stage_path(name)) for name in names(session))


@HERE
def test_weights_stay_until_all_is_evaluated(store: Store, tmp_path: Path) -> None:
    """With `keep: none` all go at the end, and none before: what is missing starts from them."""
    session = experiment(store, tmp_path, keep="none")
    finish(session, tmp_path, leaves=True)
    leaf = next(node for node in session.expansion.graph if not node.children and node.evaluations)
    path = next(iter(leaf.evaluations))
    store.remove(f"{stage_path(leaf.name)}/{path}.record.json")
    kept = {f"{stage_path(n.name)}/weights" for n in session.expansion.graph if n.children or n is leaf}
    assert not kept & set(paths(find_garbage(store)))
    finish(session, tmp_path, leaves=True)
    assert kept < set(paths(find_garbage(store)))


@SLOWLY_ELSEWHERE
def test_an_evaluation_that_no_experiment_names(store: Store, tmp_path: Path) -> None:
    one = experiment(store, tmp_path, intermediates="[none]", targets="[tatoeba]")
    finish(one, tmp_path)
    two = experiment(store, tmp_path, "two", "[none]", "[xnli]")
    finish(two, tmp_path)
    base = next(node for node in one.expansion.graph if node.is_base)
    assert len(base.evaluations) == 2
    done = cleaned(store, "one")
    assert {f"{stage_path(base.name)}/{path}" for path in base.evaluations} < set(done)
    assert list(store.list(f"{stage_path(base.name)}/evaluations/tatoeba")) == []
    assert read_stage(store, base.name) is not None


@SLOWLY_ELSEWHERE
def test_resume_states_of_what_is_done(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    nodes = [node for node in session.expansion.graph if not node.is_base]
    finish(session, tmp_path)
    for node in nodes:
        for part in ("resume", "resume.old"):
            store.write(f"{stage_path(node.name)}/{part}/state.json", b"{}")
    unfinished = nodes[0]
    store.remove(f"{stage_path(unfinished.name)}/record.json")
    expected = {f"{stage_path(n.name)}/{part}" for n in nodes[1:] for part in ("resume", "resume.old")}
    assert set(paths(find_garbage(store))) == expected
    assert set(cleaned(store)) == expected
    assert store.read(f"{stage_path(unfinished.name)}/resume/state.json") == b"{}"


@HERE
def test_features_stay_for_what_has_still_to_train(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    finish(session, tmp_path)
    hellaswag, udpos = (f"features/{task}-0123456789ab.arrow" for task in ("hellaswag", "udpos"))
    for path in (hellaswag, udpos):
        store.write(path, b"x" * 100)
    assert set(paths(find_garbage(store))) == {hellaswag, udpos}
    stage = next(node for node in session.expansion.graph if "hellaswag" in node.slug and node.children)
    store.remove(f"{stage_path(stage.name)}/record.json")
    assert set(paths(find_garbage(store))) == {udpos}


@HERE
def test_features_stay_for_what_has_still_to_be_evaluated(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    finish(session, tmp_path)
    node = next(node for node in session.expansion.graph if node.evaluations)
    missing = next(iter(node.evaluations))
    task = missing.split("/")[1]
    features, other = (f"features/{name}-0123456789ab.arrow" for name in (task, "anli_plus"))
    for path in (features, other):
        store.write(path, b"x" * 100)
    assert set(paths(find_garbage(store))) == {features, other}
    store.remove(f"{stage_path(node.name)}/{missing}.record.json")
    assert set(paths(find_garbage(store))) == {other}


def test_data_goes_with_its_index(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    experiment(store, tmp_path)
    (tmp_path / "mlm.txt").write_text("eins zwei\ndrei vier\n")
    other = tmp_path / "two.yaml"
    other.write_text(
        EXPERIMENT.format(name="two", store=store.uri, intermediates="[mlm]", targets="[xnli]", keep="all")
    )
    os.utime(tmp_path / "mlm.txt", (0, 0))
    session = Session.open(other, [f"data.tasks.mlm.train={tmp_path}/mlm.txt"])
    (ref,) = {ref for ref in session.data if ref.task == "mlm"}
    found = paths(find_garbage(store))
    assert ref.path in found
    index = [path for path in found if path.startswith("data/index/")]
    assert [json.loads(store.read(path) or b"")["task"] for path in index] == ["mlm"]
    session.declare()
    assert not {ref.path, *index} & set(paths(find_garbage(store)))


# --- orphans ----------------------------------------------------------------------------------------------


def test_what_killed_processes_left(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    experiment(store, tmp_path)
    left = [
        "stages/.aside-0123456789ab",
        "data/.generated-x1_abc9z",
        "data/xnli/.test-en-0123456789ab.arrow-k3j2_xy9",
        f".seen-{'ab' * 16}",
    ]
    for path in left:
        (store.root / path).mkdir(parents=True)
        (store.root / path / "big").write_bytes(bytes(1000))
    store.write("doctor/" + "0f" * 16, b"written by stilts doctor")
    store.write("experiments/one/runs/deaddeaddead/claims/1.json", b"")
    assert find_garbage(store).items == []
    age(store.root, STALE_SECONDS + 60)
    (store.root / left[0] / "big").write_bytes(bytes(1000))  # its writer lives
    expected = {*left[1:], "doctor/" + "0f" * 16, "experiments/one/runs/deaddeaddead"}
    assert set(paths(find_garbage(store))) == expected
    cleaned(store)
    assert not any((store.root / path).exists() for path in expected)
    assert (store.root / left[0]).exists()


def test_leases_of_a_removed_stage_are_removed_a_day_later(tmp_path: Path) -> None:
    """Their number is what a paused attempt finds when it wakes up."""
    store = LocalStore(tmp_path / "store")
    session = experiment(store, tmp_path)
    finish(session, tmp_path)
    with Lease(store, stage_path(name := max(names(session)))) as lease:
        pass
    cleaned(store, "one")
    (left,) = store.list(f"{stage_path(name)}/claims")
    assert int(left.removesuffix(".json")) == lease.attempt + 1
    assert store.read(f"{stage_path(name)}/record.json") is None
    experiment(store, tmp_path, "two", "[none]", "[tatoeba]")
    assert not {path for path in paths(find_garbage(store)) if path.startswith(stage_path(name))}
    age(store.root / "stages", OLD_LEASE_SECONDS + 60)
    assert paths(find_garbage(store))[stage_path(name)].startswith("old leases")
    cleaned(store)
    assert name not in store.list("stages")


# --- what stays --------------------------------------------------------------------------------------------


@EVERYWHERE
def test_what_a_trial_works_on_stays(store: Store, tmp_path: Path) -> None:
    one = experiment(store, tmp_path)
    finish(one, tmp_path)
    experiment(store, tmp_path, "two", "[none]", "[tatoeba]")
    name = next(node.name for node in one.expansion.graph if not node.is_base)
    with Lease(store, stage_path(name)):
        found = find_garbage(store, ["one"])
        assert stage_path(name) in found.held
        cleaned(store, "one")
        assert read_stage(store, name) is not None
    assert cleaned(store) == [stage_path(name)]


@HERE
def test_a_trial_that_began_after_the_listing_is_left_alone(store: Store, tmp_path: Path) -> None:
    one = experiment(store, tmp_path)
    finish(one, tmp_path)
    found = find_garbage(store, ["one"])
    name = next(node.name for node in one.expansion.graph if not node.is_base)
    with Lease(store, stage_path(name)):
        done = clean(store, found.items, ["one"], lambda who: None)
    assert read_stage(store, name) is not None
    assert len(done) == len(found.items) - 1


@HERE
def test_what_was_declared_after_the_listing_stays(store: Store, tmp_path: Path) -> None:
    one = experiment(store, tmp_path)
    finish(one, tmp_path)
    found = find_garbage(store, ["one"])
    again = experiment(store, tmp_path, "again")
    clean(store, found.items, ["one"], lambda who: None)
    assert again.plan(verify=True).jobs == {}


@HERE
def test_a_running_experiment_is_not_forgotten(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    with session.running(lambda who: None):
        assert "process" in find_garbage(store).running["one"]
        with pytest.raises(StiltsError, match=r"one is running on .+: stop that run"):
            find_garbage(store, ["one"])
    assert find_garbage(store, ["one"]).forgotten


@EVERYWHERE
def test_a_cleaner_that_slept_removes_nothing_more(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run went ahead meanwhile: whoever declares takes the next lease."""
    session = experiment(store, tmp_path)
    finish(session, tmp_path)
    found = find_garbage(store, ["one"])
    removed: list[str] = []
    remove = type(store).remove

    def slow(self: Store, path: str, fence: Fence | None = None) -> None:
        remove(self, path, fence)
        removed.append(path)
        if path.endswith(".arrow"):
            number = max(int(name.removesuffix(".json")) for name in store.list(f"{CLEANING}/claims"))
            store.create(f"{CLEANING}/claims/{number + 1}.json", b"{}")

    monkeypatch.setattr(type(store), "remove", slow)
    with pytest.raises(LeaseLost):
        clean(store, found.items, ["one"], lambda who: None)
    monkeypatch.undo()
    assert sum(path.endswith(".arrow") for path in removed) == 1
    assert all(read_stage(store, name) is not None for name in names(session))


def test_an_older_experiment_keeps_all_that_it_could_need(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    session = experiment(store, tmp_path)
    finish(session, tmp_path, leaves=True)
    (declaration,) = declarations(store)
    store.remove(f"experiments/{declaration.id}.json")
    (store.root / ".aside-0123456789ab").mkdir()
    age(store.root, STALE_SECONDS + 60)
    found = find_garbage(store)
    assert found.unlisted == [Declaration("one", declaration.digest, None)]
    assert set(paths(found)) == {".aside-0123456789ab"}
    session.complete_declarations()
    assert find_garbage(store).unlisted == []
    assert any(path.endswith("/weights") for path in paths(find_garbage(store)))


@SLOWLY_ELSEWHERE
def test_what_stilts_did_not_write_is_told_and_stays(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    finish(session, tmp_path)
    name = max(names(session))
    junk = [
        "notes.txt",
        "data/corpus.txt",
        "stages/backup/model.bin",
        "data/mine/corpus.arrow",
        "features/x.arrow",
        "experiments/one/log",
    ]
    for path in junk:
        store.write(path, b"mine")
    store.write(f"{stage_path(name)}/plot.png", b"mine")
    expected = {"notes.txt", "data/corpus.txt", "stages/backup", *junk[3:]}
    assert set(find_garbage(store).unknown) == expected
    assert set(find_garbage(store, ["one"]).unknown) == {*expected, f"{stage_path(name)}/plot.png"}
    cleaned(store, "one")
    assert all(store.read(path) == b"mine" for path in [*junk, f"{stage_path(name)}/plot.png"])


def test_a_base_model_on_its_way_stays_until_it_is_stored(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    session = experiment(store, tmp_path)
    base = next(node.key[:SHORT] for node in session.expansion.graph if node.is_base)
    for key in (base, "0123456789ab"):
        store.write(f"checkpoints/{key}", b"x")
    assert set(paths(find_garbage(store))) == {"checkpoints/0123456789ab"}
    finish(session, tmp_path)
    assert set(paths(find_garbage(store))) == {f"checkpoints/{base}", "checkpoints/0123456789ab"}


def test_nothing_is_left_of_a_forgotten_experiment(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    experiment(store, tmp_path)
    store.write("experiments/one/spent/a.json", b"{}")
    assert "known" in store.list("experiments/one")
    assert find_garbage(store).unknown == []
    cleaned(store, "one")
    assert list(store.list("experiments")) == []


def test_links_are_removed_and_not_what_they_name(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    session = experiment(store, tmp_path)
    finish(session, tmp_path)
    mine = tmp_path / "mine"
    (mine / "deep").mkdir(parents=True)
    (mine / "deep" / "thesis.tex").write_text("years of work")
    folder = store.root / stage_path(min(names(session)))
    store.remove(f"{stage_path(folder.name)}/weights")
    (folder / "weights").symlink_to(mine)
    (folder / "resume").mkdir()
    (folder / "resume" / "link").symlink_to(mine)
    cleaned(store, "one")
    assert not (folder / "weights").is_symlink()
    assert not (folder / "resume").exists()
    assert (mine / "deep" / "thesis.tex").read_text() == "years of work"


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "mine").mkdir(parents=True)
    (tmp_path / "data" / "mine" / "table-0123456789ab.arrow").write_bytes(b"mine")
    with pytest.raises(StiltsError, match="no store of stilts"):
        find_garbage(LocalStore(tmp_path))


@HERE
def test_an_unknown_experiment_cannot_be_forgotten(store: Store, tmp_path: Path) -> None:
    experiment(store, tmp_path)
    with pytest.raises(StiltsError, match="no experiment 'oen' in the store; did you mean 'one'"):
        find_garbage(store, ["oen"])


# --- kills -------------------------------------------------------------------------------------------------

_CLEANER = """
import os, signal, sys
from stilts.ledger.clean import clean
from stilts.ledger.garbage import find_garbage
from stilts.storage.open import open_store
store = open_store(sys.argv[1])
removals, remove = int(sys.argv[2]), store.remove
def counted(path, fence=None):
    global removals
    if removals == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    removals -= 1
    remove(path, fence)
store.remove = counted
clean(store, find_garbage(store, sys.argv[3:]).items, sys.argv[3:], lambda who: None)
"""
"""Dies when it has removed so many things and is about to remove one more."""


def _vouched(store: Store, session: Session) -> None:
    """Whatever a record vouches for is there."""
    leaves = {node.name for node in session.expansion.graph if not node.children}
    for name in store.list("stages"):
        record = read_stage(store, name)
        if record is not None and name not in leaves:
            store.fetch_tree(f"{stage_path(name)}/weights", record["weights"])
    intact = take_inventory(store, verify=True)
    assert all(found.evaluations == intact[key].evaluations for key, found in take_inventory(store).items())


@SLOWLY_ELSEWHERE
def test_a_kill_at_any_moment_leaves_nothing_that_a_record_vouches_for_in_vain(store: Store, tmp_path: Path) -> None:
    rest = experiment(store, tmp_path, "rest", "[none]", "[udpos]")
    finish(rest, tmp_path)
    for removals in (0, 2, 5, 9):  # the experiment's own files; then those of its first stages
        session = experiment(store, tmp_path)
        finish(session, tmp_path)
        cleaner = subprocess.run(
            [sys.executable, "-c", _CLEANER, store.uri, str(removals), "one"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            check=False,
        )
        assert cleaner.returncode == -signal.SIGKILL
        try:
            _vouched(store, session)
        except Corrupt as error:
            pytest.fail(str(error))
        assert rest.plan(verify=True).jobs == {}
    cleaned(store, *(d.id for d in declarations(store) if d.name == "one"))
    assert {name for name in store.list("stages") if read_stage(store, name)} == names(rest)
    assert rest.plan(verify=True).jobs == {}
    assert find_garbage(store).items == []
