"""A kill at every write. A child process does one operation of the store, and is killed at its first step, its second.

A step is, on a disk, a call that changes it, or the write of a part of a file: the child stops before it and is killed
there. On an object store it is a request: a proxy holds it before the server gets it, or holds the answer after the
server did it, and the child is killed then. After each kill another process checks the promises of
`storage/protocol.py`, and the operation is done again and must succeed.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stilts.ledger.record import clear_failure, read_failure, write_failure
from stilts.run.stage.ending import FailureRecord
from stilts.storage.bucket.store import ObjectStore
from stilts.storage.local import LocalStore
from stilts.storage.open import open_store
from stilts.storage.protocol import Corrupt, Manifest, Store
from tests.servers import HttpProxy, gs_uri, s3_uri
from tests.storage.conftest import elsewhere

DEADLINE = 120.0
STEPS = 200
"""More than any operation here takes."""

_CHILD = """
import sys
from pathlib import Path
from stilts.storage.open import open_store
from tests.storage.test_kills import act
act(open_store(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
print("done", flush=True)
"""


def act(store: Store, operation: str, folder: Path) -> None:
    """What a child does."""
    if operation == "write":
        store.write("a/record.json", b"new" * 1000)
    elif operation == "create":
        store.create("a/claims/2.json", b"mine")
    elif operation == "put_tree":
        store.put_tree(folder, "a/weights")
    elif operation == "publish":
        store.publish("a/resume")
    elif operation == "fail":
        record = FailureRecord(store, "b", 0)
        record.attempt = 2
        with contextlib.suppress(ValueError), record:
            raise ValueError("new")
    elif operation == "succeed":
        clear_failure(store, "b")
    else:
        store.remove("a")


def _kill_at(step: int) -> None:
    """From here on, this process dies before its call of this number that changes a disk."""
    count = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    class File(io.FileIO):
        """Half of what is written is there when it dies in the middle."""

        def write(self, content: Any) -> int:
            half = len(content) // 2
            super().write(bytes(content)[:half])
            counted(lambda: None)()
            super().write(bytes(content)[half:])
            return len(content)

    for name in ("mkdir", "replace", "rename", "link", "unlink", "rmdir", "fsync", "open"):
        setattr(os, name, counted(getattr(os, name)))
    real = io.open
    io.open = lambda file, mode="r", *a, **k: (  # type: ignore[assignment]
        io.BufferedWriter(File(file, "w")) if mode == "wb" else real(file, mode, *a, **k)
    )


class Scene:
    """A store with one stage in it, as it was before the operation that is killed."""

    def __init__(self, store: Store, tmp_path: Path) -> None:
        self.store, self.tmp = store, tmp_path
        self.old = self._tree("old", b"o")
        self.new = self._tree("new", b"n")
        store.write("a/record.json", b"old" * 10)
        store.create("a/claims/1.json", b"first")
        self.manifests = {"old": store.put_tree(self.old, "a/weights"), "new": _manifest(store, self.new)}
        self.resume(b"old resume")
        store.publish("a/resume")
        self.resume(b"new resume")
        write_failure(store, "b", {"status": "failed", "error": "old", "attempt": 1})
        store.create("stages/b/claims/2.json", b"{}")

    def _tree(self, name: str, content: bytes) -> Path:
        folder = self.tmp / name
        (folder / "sub").mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(content * 100_000)
        (folder / "sub" / "config.json").write_bytes(content)
        return folder

    def resume(self, content: bytes) -> None:
        """What is to be published next. Whoever makes it there replaces it whole, as the training does."""
        if isinstance(self.store, ObjectStore):
            (self.store.scratch("a/resume") / "state").write_bytes(content)
        else:
            made = self.tmp / "resume"
            made.mkdir(exist_ok=True)
            (made / "state").write_bytes(content)
            self.store.put_tree(made, "a/resume")

    def check(self, operation: str) -> None:
        """The promises, as another process sees them from an empty cache."""
        store = elsewhere(self.store, self.tmp)
        names = set(store.list("a"))
        assert names <= {"record.json", "claims", "weights", "resume"}
        gone = operation == "remove"
        failure = read_failure(store, "b")
        assert failure is not None or operation == "succeed"
        assert failure is None or failure["error"] in ("old", *(["ValueError: new"] * (operation == "fail")))
        assert store.read("a/record.json") in (
            b"old" * 10,
            *([b"new" * 1000] * (operation == "write")),
            *([None] * gone),
        )
        assert store.read("a/claims/1.json") in (b"first", *([None] * gone))
        assert store.read("a/claims/2.json") in (None, b"mine")
        whole = {name for name, manifest in self.manifests.items() if _is_whole(store, manifest)}
        vouched = {name for name, manifest in self.manifests.items() if store.has_tree("a/weights", manifest)}
        assert whole == vouched
        if gone:
            assert store.read("a/record.json") is None or whole == {"old"}, "the record vouches for what is gone"
        elif operation != "put_tree":
            assert whole == {"old"}
        elif "weights" in names:
            assert len(whole) == 1, "a part of a tree is seen"
        if not gone and isinstance(store, ObjectStore):
            content = (store.obtain("a/resume") / "state").read_bytes()
            assert content in (b"old resume", b"new resume")

    def finish(self, operation: str) -> None:
        """The same again, undisturbed."""
        if operation == "write":
            self.store.write("a/record.json", b"new" * 1000)
            assert self.store.read("a/record.json") == b"new" * 1000
        elif operation == "create":
            self.store.create("a/claims/2.json", b"mine")
            assert self.store.read("a/claims/2.json") == b"mine"
        elif operation == "put_tree":
            assert self.store.put_tree(self.new, "a/weights") == self.manifests["new"]
            assert _is_whole(elsewhere(self.store, self.tmp), self.manifests["new"])
        elif operation == "publish":
            self.store.publish("a/resume")
            assert (elsewhere(self.store, self.tmp).obtain("a/resume") / "state").read_bytes() == b"new resume"
        elif operation == "fail":
            act(self.store, operation, self.tmp)
            assert (read_failure(elsewhere(self.store, self.tmp), "b") or {})["attempt"] == 2
        elif operation == "succeed":
            clear_failure(self.store, "b")
            assert read_failure(elsewhere(self.store, self.tmp), "b") is None
        else:
            self.store.remove("a")
            assert list(self.store.list("a")) == []


def _manifest(store: Store, folder: Path) -> Manifest:
    return store.put_tree(folder, "reference")


def _is_whole(store: Store, manifest: Manifest) -> bool:
    try:
        return store.fetch_tree("a/weights", manifest).is_dir()
    except Corrupt:
        return False


@pytest.mark.parametrize("operation", ["write", "create", "put_tree", "remove", "fail", "succeed"])
def test_a_kill_before_every_change_of_a_disk(operation: str, tmp_path: Path) -> None:
    for step in range(1, STEPS):
        folder = tmp_path / str(step)
        scene = Scene(LocalStore(folder / "store"), folder)
        child = os.fork()
        if child == 0:
            try:
                _kill_at(step)
                act(scene.store, operation, scene.new)
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        done = status == 0
        assert done or os.WTERMSIG(status) == signal.SIGKILL
        scene.check(operation)
        scene.finish(operation)
        if done:
            print(f"{operation}: killed before each of {step - 1} changes")
            assert step > 1, "nothing was counted"
            return
    pytest.fail("the operation never came to its end")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["s3", "gcs"])
@pytest.mark.parametrize("moment", ["freeze", "freeze-after"])
@pytest.mark.parametrize("operation", ["write", "create", "put_tree", "publish", "remove", "fail", "succeed"])
def test_a_kill_at_every_request(
    backend: str,
    operation: str,
    moment: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _kill_at_every_request(backend, operation, moment, request, tmp_path, monkeypatch, lambda step: True)


@pytest.mark.parametrize("operation", ["put_tree"])
def test_a_kill_at_some_requests(
    operation: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fourth, in the part of the tests that is fast."""
    _kill_at_every_request("s3", operation, "freeze-after", request, tmp_path, monkeypatch, lambda step: step % 4 == 3)


def _kill_at_every_request(
    backend: str,
    operation: str,
    moment: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: Callable[[int], bool],
) -> None:
    endpoint = request.getfixturevalue(f"{backend}_endpoint")
    make = s3_uri if backend == "s3" else gs_uri
    for step in range(1, STEPS):
        if not chosen(step):
            continue
        folder = tmp_path / str(step)
        monkeypatch.setenv("STILTS_CACHE", str(folder / "cache"))
        path = f"bucket/{uuid.uuid4().hex[:12]}"
        with HttpProxy(endpoint) as proxy:
            # The child goes through the proxy to the same objects, and shares the cache of what it is to publish.
            scene = Scene(open_store(make(endpoint, path)), folder)
            child_uri = make(proxy.endpoint, path)
            _share_scratch(scene.store, open_store(child_uri))
            proxy.act = lambda number, method, target, step=step: moment if number == step else "pass"
            child = subprocess.Popen(
                [sys.executable, "-c", _CHILD, child_uri, operation, str(scene.new)],
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )
            frozen = _until(proxy, child)
            child.kill()
            child.communicate()
            if not frozen:
                print(f"{backend} {operation}: killed at each of {step - 1} requests ({moment})")
                assert step > 1, "nothing was counted"
                scene.check(operation)
                return
            scene.check(operation)
            scene.finish(operation)
    pytest.fail("the operation never came to its end")


def _share_scratch(store: Store, child: Store) -> None:
    source, target = store.scratch("."), child.scratch(".")
    target.rmdir()
    target.symlink_to(source)


def _until(proxy: HttpProxy, child: subprocess.Popen[bytes]) -> bool:
    """Whether a request is held; False where the child came to its end."""
    for _ in range(int(DEADLINE / 0.01)):
        if proxy.frozen.wait(0.01):
            return True
        if child.poll() is not None:
            assert child.stdout is not None
            assert child.stdout.read() == b"done\n"
            return False
    pytest.fail("neither a request nor an end in time")
