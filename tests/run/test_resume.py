"""Copies of resume states: the newest complete one is found, whatever was killed in between."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from stilts.run.stage.resume import ResumeCopies
from stilts.run.stage.uploader import Uploader
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Fence
from stilts.train.checkpoint import ResumeStore
from stilts.train.ranks import Ranks

PATH = "stages/x/resume"
ALONE = Ranks(0, 1, torch.device("cpu"))


class Killed(BaseException):
    pass


class Mortal(LocalStore):
    """The process dies before the write number `last`."""

    last = 10**6

    def _live(self) -> None:
        self.last -= 1
        if self.last < 0:
            raise Killed

    def write(self, path: str, content: bytes) -> None:
        self._live()
        super().write(path, content)

    def put_tree(self, source: Path, path: str) -> Any:
        self._live()
        return super().put_tree(source, path)

    def remove(self, path: str, fence: Fence | None = None) -> None:
        self._live()
        super().remove(path, fence)


class Machine:
    """One attempt on a machine of its own."""

    def __init__(self, store: LocalStore, folder: Path, attempt: int, check: Callable[[], None] = lambda: None) -> None:
        self.uploader = Uploader(check)
        self.copies = ResumeCopies(store, PATH, folder / "resume", attempt, self.uploader)
        self.states = ResumeStore(folder / "resume", self.copies.saved, self.copies.newer)

    def save(self, step: int) -> None:
        """What the loop does, without an engine."""
        self.states._write({"weight": torch.full((4,), float(step))}, {"step": step}, None)

    def found(self) -> int | None:
        state = self.states.find(ALONE)
        if state is None:
            return None
        with state._tensors() as fetch:
            assert fetch("weight", torch.Size([4])).tolist() == [state.meta["step"]] * 4
        return int(state.meta["step"])

    def end(self) -> None:
        with self.uploader:
            pass


def test_a_stage_that_moves_goes_on_from_the_newest_state(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    first = Machine(store, tmp_path / "a", 1)
    assert first.found() is None
    for step in (10, 20, 30):
        first.save(step)
        first.uploader.flush()
    first.end()
    assert list(store.list(f"{PATH}/1")) == ["30", "latest.json"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["resume"]
    second = Machine(store, tmp_path / "b", 2)
    assert second.found() == 30
    second.save(40)
    second.end()
    assert list(store.list(PATH)) == ["2"]  # and the first attempt's are gone


def test_the_state_on_this_machine_is_taken_where_it_is_newer(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    here = Machine(store, tmp_path / "a", 1)
    here.save(10)
    here.end()
    ResumeStore(tmp_path / "a" / "resume")._write({"weight": torch.full((4,), 12.0)}, {"step": 12}, None)
    again = Machine(store, tmp_path / "a", 2)
    assert again.found() == 12
    again.end()


def test_a_newer_state_takes_the_place_of_the_one_that_waits(tmp_path: Path) -> None:
    store, sent = LocalStore(tmp_path / "store"), []
    machine = Machine(store, tmp_path / "a", 1)
    put_tree = store.put_tree

    def slow(source: Path, path: str) -> Any:
        sent.append(path)
        while len(sent) == 1 and not (tmp_path / "go").exists():
            time.sleep(0.01)
        return put_tree(source, path)

    store.put_tree = slow  # type: ignore[method-assign]
    machine.save(10)
    while not sent:
        time.sleep(0.01)
    for step in (20, 30, 40):
        machine.save(step)
    (tmp_path / "go").touch()
    machine.end()
    assert sent == [f"{PATH}/1/10", f"{PATH}/1/40"]
    assert list(store.list(f"{PATH}/1")) == ["40", "latest.json"]


@pytest.mark.parametrize("last", range(9))
def test_a_kill_before_any_write_leaves_a_state_that_is_whole(tmp_path: Path, last: int) -> None:
    """Three states of a first attempt; killed before each of its writes, the next one finds the newest that it can."""
    store = Mortal(tmp_path / "store")
    store.last = last
    machine = Machine(store, tmp_path / "a", 1)
    saved = 0
    with suppress(Killed), machine.uploader:
        for step in (10, 20, 30):
            machine.save(step)
            machine.uploader.flush()
            saved = step
    store.last = 10**6
    elsewhere = Machine(store, tmp_path / "b", 2)
    found = elsewhere.found() or 0
    assert found in (saved, saved + 10)
    elsewhere.save(found + 5)
    elsewhere.end()
    assert list(store.list(PATH)) == ["2"]
    here = Machine(store, tmp_path / "a", 3)
    assert here.found() == max(found + 5, min(saved + 10, 30))
    here.end()


def test_a_damaged_copy_is_passed_over(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    for attempt, step in ((1, 10), (2, 20)):
        machine = Machine(store, tmp_path / str(attempt), attempt)
        machine.save(step)
        machine.uploader.flush()
        if attempt == 1:
            older = {name: store.read(f"{PATH}/1/10/{name}") for name in store.list(f"{PATH}/1/10")}
            latest = store.read(f"{PATH}/1/latest.json")
        machine.end()
    for name, content in older.items():  # as if the second attempt had been killed before it removed them
        store.write(f"{PATH}/1/10/{name}", content or b"")
    store.write(f"{PATH}/1/latest.json", latest or b"")
    store.write(f"{PATH}/2/20/state.safetensors", b"damaged")
    machine = Machine(store, tmp_path / "c", 3)
    assert machine.found() == 10
    machine.end()


def test_an_attempt_that_was_declared_dead_does_not_touch_its_successors_state(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    paused, heir = Machine(store, tmp_path / "a", 1), Machine(store, tmp_path / "b", 2)
    heir.save(20)
    heir.uploader.flush()
    paused.save(30)  # it did not look at its lease in time
    paused.uploader.flush()
    paused.end()
    assert json.loads(store.read(f"{PATH}/2/latest.json") or b"")["step"] == 20
    heir.save(25)
    heir.end()
    assert list(store.list(PATH)) == ["2"]


def test_what_an_earlier_attempt_was_sending_is_cleared_away(tmp_path: Path) -> None:
    for name in ("resume.linking", "resume.waiting", "resume.sending"):
        (tmp_path / "a" / name).mkdir(parents=True)
    machine = Machine(LocalStore(tmp_path / "store"), tmp_path / "a", 1)
    machine.end()
    assert list((tmp_path / "a").iterdir()) == []


def test_once_training_is_over_nothing_waits_any_more(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    machine = Machine(store, tmp_path / "a", 1)
    machine.uploader.submit(lambda: time.sleep(0.3))
    machine.save(10)
    machine.copies.stop()
    machine.end()
    assert list(store.list(PATH)) == []
