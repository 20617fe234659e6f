"""Cleaning beside the files of others: through no link, and nothing whose name only looks like one of stilts."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.identity.stage import SHORT
from stilts.ledger.garbage import find_garbage
from stilts.ledger.record import stage_path
from stilts.ledger.settle import settle
from stilts.session import Session
from stilts.storage import local
from stilts.storage.bucket import store as bucket
from stilts.storage.lease import Lease
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store
from tests.ledger.test_clean import age, cleaned, experiment, finish


def a_stage(session: Session) -> str:
    return stage_path(next(node.name for node in session.expansion.graph if node.children and not node.is_base))


PLACES: dict[str, Callable[[Session], str]] = {
    "all stages": lambda session: "stages",
    "a stage": a_stage,
    "weights": lambda session: f"{a_stage(session)}/weights",
    "evaluations": lambda session: f"{stage_path(leaf(session))}/evaluations",
    "the evaluations of a task": lambda session: f"{stage_path(leaf(session))}/evaluations/xnli",
    "leases of a stage": lambda session: f"{a_stage(session)}/claims",
    "data": lambda session: "data",
    "data of a task": lambda session: "data/xnli",
    "a table": lambda session: next(ref.path for ref in session.data if ref.task == "xnli"),
    "the index": lambda session: "data/index",
    "features": lambda session: "features",
    "checkpoints": lambda session: "checkpoints",
    "a checkpoint": lambda session: "checkpoints/0123456789ab",
    "what doctor wrote": lambda session: "doctor",
    "experiments": lambda session: "experiments",
    "an experiment": lambda session: "experiments/one",
    "what it spent": lambda session: "experiments/one/spent",
    "its runs": lambda session: "experiments/one/runs",
    "the lease of cleaning": lambda session: "clean",
}


def leaf(session: Session) -> str:
    return next(node.name for node in session.expansion.graph if "xnli" in node.slug and not node.children)


def content(folder: Path) -> dict[str, bytes]:
    files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A store in which everything that could be garbage is, and old."""
    folder = tmp_path_factory.mktemp("whole")
    store = LocalStore(folder / "store")
    session = experiment(store, folder)
    finish(session, folder, leaves=True)
    for path in ("features/xnli-0123456789ab.arrow", "checkpoints/0123456789ab/config.json", f"doctor/{'0f' * 16}"):
        store.write(path, b"old")
    for path in ("experiments/one/spent/a.json", f"data/index/{'0f' * 12}.json"):
        store.write(path, b"{}")
    store.write("experiments/one/runs/0123456789ab/claims/1.json", b"")
    with Lease(store, a_stage(session)), Lease(store, "clean"):
        pass
    age(store.root, 10 * 86400)
    return session


QUICK = (
    "all stages",
    "a stage",
    "weights",
    "leases of a stage",
    "data of a task",
    "what doctor wrote",
    "an experiment",
)


@pytest.mark.parametrize(
    "place", [place if place in QUICK else pytest.param(place, marks=pytest.mark.slow) for place in PLACES]
)
def test_nothing_is_removed_through_a_link(whole: Session, tmp_path: Path, place: str) -> None:
    """A part of the store lies elsewhere."""
    session, store = whole, LocalStore(tmp_path / "store")
    shutil.copytree(whole.store.uri, store.root)
    linked = store.root / PLACES[place](session)
    outside = tmp_path / "outside"
    shutil.move(linked, outside)
    linked.symlink_to(outside)
    before = content(outside)
    assert before
    settle(store, "one")
    if place not in ("the lease of cleaning", "leases of a stage"):
        assert content(outside) == before
    before = content(outside)
    if place in ("experiments", "an experiment", "the lease of cleaning"):
        with pytest.raises(StiltsError, match="is a link, through which nothing is"):
            cleaned(store, "one")
    else:
        cleaned(store)
        cleaned(store, "one")
    assert content(outside) == before


def test_a_linked_stage_is_reported(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    session = experiment(store, tmp_path)
    finish(session, tmp_path, leaves=True)
    folder = a_stage(session)
    shutil.move(store.root / folder, tmp_path / "outside")
    (store.root / folder).symlink_to(tmp_path / "outside")
    found = find_garbage(store, ["one"])
    assert folder in found.unknown
    assert not any(item.path.startswith(folder) for item in found.items)


LOOKALIKES = (
    "notes.txt",
    ".aside-notes",
    ".aside-0123456789abc",
    ".aside-0123456789AB",
    "mine/.aside-0123456789ab/big",
    "stages/.aside-draft",
    "stages/backup/.aside-0123456789ab",
    "stages/backup-0123456789ab/weights/model.safetensors",
    "stages/backup-0123456789ab/.aside-draft",
    ".seen-it",
    "data/.generated-mine/corpus",
    "data/.generated-0123456789ab",
    "data/generated-mine/corpus",
    "data/mine/corpus-0123456789ab.arrow",
    "data/mine/.aside-0123456789ab",
    "data/xnli/table.arrow",
    "data/xnli/test-en-0123456789ab.arrow.bak",
    "data/xnli/.test-en-0123456789ab.arrow-old",
    "data/index/notes.json",
    "data/index/.0123456789abcdef01234567.json-copy",
    "features/xnli-0123456789ab.arrow.bak",
    "features/.xnli-0123456789ab.arrow-old",
    "checkpoints/mine/model.safetensors",
    "checkpoints/0123456789abc",
    "experiments/one/notes.md",
    "experiments/one/runs/notes",
    "experiments/one/study/notes",
    "experiments/one/trials/best.md",
    "experiments/one/spent/notes.txt",
    "doctor/notes.txt",
    "weights.tree-0123456789ab/model.safetensors",
    "data/mine.tree-0123456789ab/x",
    "data/xnli/mine.tree-0123456789ab/x",
    "checkpoints/mine.tree-0123456789ab/x",
)


@pytest.mark.parametrize("store", ["local", "s3", pytest.param("gcs", marks=pytest.mark.slow)], indirect=True)
def test_what_only_looks_like_a_file_of_stilts_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However old it is, whatever is forgotten, and beside what is removed."""
    session = experiment(store, tmp_path)
    finish(session, tmp_path, leaves=True)
    foreign = [
        *LOOKALIKES,
        f"{stage_path(leaf(session))}/notes.tree-0123456789ab/x",
        f"{stage_path(leaf(session))}/plot.png",
        f"{stage_path(leaf(session))}/evaluations/xnli/errors.txt",
    ]
    for path in foreign:
        store.write(path, b"mine")
    monkeypatch.setattr(local, "STALE_SECONDS", -1.0)
    monkeypatch.setattr(bucket, "STALE_SECONDS", -1.0)
    if isinstance(store, LocalStore):
        age(store.root, 10 * 86400)
    cleaned(store)
    settle(store, "one", {node.key[:SHORT] for node in session.expansion.graph})
    assert cleaned(store, "one")
    cleaned(store)
    assert [path for path in foreign if store.read(path) != b"mine"] == []
    assert {path for path in find_garbage(store).unknown if path in foreign} > {"notes.txt", "data/index/notes.json"}
    assert not any("weights" in store.list(stage_path(node.name)) for node in session.expansion.graph)


def test_orphans_of_stilts_itself_go(tmp_path: Path) -> None:
    """At every level at which its writers can be killed."""
    store = LocalStore(tmp_path / "store")
    session = experiment(store, tmp_path)
    finish(session, tmp_path)
    stage = stage_path(leaf(session))
    orphans = [
        ".aside-0123456789ab",
        "stages/.aside-0123456789ab",
        f"{stage}/.aside-0123456789ab",
        f"{stage}/evaluations/xnli/.aside-0123456789ab",
        f"{stage}/claims/.aside-0123456789ab",
        "experiments/one/.aside-0123456789ab",
        "experiments/one/trials/.aside-0123456789ab",
        "experiments/one/study/.aside-0123456789ab",
        "data/xnli/.test-en-0123456789ab.arrow-ab_c1234",
        "data/.generated-abcd1234",
        "clean/claims/.aside-0123456789ab",
        f".seen-{'0f' * 16}",
    ]
    for path in orphans:
        (store.root / path).parent.mkdir(parents=True, exist_ok=True)
        (store.root / path).write_bytes(b"half")
    age(store.root, local.STALE_SECONDS + 60)
    assert {item.path for item in find_garbage(store).items} == set(orphans)
    cleaned(store)
    assert not any(os.path.lexists(store.root / path) for path in orphans)
