"""Waits for servers: what is said, when, and how they end. The servers are real sockets."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stilts import waiting
from stilts.storage.bucket import clients
from stilts.storage.open import open_store
from stilts.storage.protocol import Unreachable
from stilts.waiting import NoAnswer, bounded, noticed
from tests.conftest import ROOT
from tests.servers import KEYS, TcpProxy, free_port, s3_uri


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line after 0.2 s, an end after 1 s, and no memory of earlier tests."""
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(waiting, "NOTICE_SECONDS", 0.2)
    monkeypatch.setattr(waiting, "INTERACTIVE_SECONDS", 1.0)
    monkeypatch.setattr(waiting, "_mode", waiting._Mode())
    monkeypatch.setattr(waiting, "_watcher", waiting._Watcher())
    monkeypatch.setattr(clients, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(clients, "REQUEST_SECONDS", 1)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """All that was written to standard error so far."""
    seen: list[str] = []

    def read() -> str:
        seen.append(capsys.readouterr().err)
        return "".join(seen)

    return read


@contextmanager
def black_hole() -> Iterator[str]:
    """The address of a server that accepts connections and never says anything."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


class TestNoticed:
    def test_a_quick_answer_is_not_spoken_of(self, capsys: pytest.CaptureFixture[str]) -> None:
        with noticed("the store s3://b"):
            pass
        time.sleep(0.4)
        assert capsys.readouterr() == ("", "")

    def test_a_slow_answer_is(self, said: Callable[[], str]) -> None:
        with noticed("the store s3://b") as wait:
            wait.failed("connection refused")
            _until(lambda: said() != "")
        assert said() == "waiting for the store s3://b (connection refused)\n"

    def test_one_server_is_named_once_by_many_waits(self, said: Callable[[], str]) -> None:
        def wait() -> None:
            with noticed("the store s3://b"):
                _until(lambda: "s3://b" in said())
                time.sleep(0.4)

        threads = [threading.Thread(target=wait) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with noticed("the store s3://b"):
            time.sleep(0.4)
        with noticed("the hub"):
            _until(lambda: "the hub" in said())
        assert said().splitlines() == ["waiting for the store s3://b", "waiting for the hub"]

    def test_a_long_wait_is_repeated(self, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(waiting, "REPEAT_SECONDS", 0.2)
        began = time.monotonic()
        with noticed("the hub"):
            _until(lambda: len(said().splitlines()) >= 3)
        assert len(said().splitlines()) <= (time.monotonic() - began) / 0.2

    def test_a_transfer_counts_from_its_first_failure(self, said: Callable[[], str]) -> None:
        with noticed("the store s3://b", working=True) as wait:
            time.sleep(0.5)
            assert said() == ""
            wait.failed("connection reset")
            _until(lambda: said() != "")
        assert said() == "waiting for the store s3://b (connection reset)\n"

    def test_secrets_are_hidden(self, said: Callable[[], str]) -> None:
        with noticed("the study at postgresql://me:hunter22@db/optuna"):
            _until(lambda: "db/optuna" in said())
        assert "hunter22" not in said()


class TestBounded:
    def test_it_returns_what_comes_late(self, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(waiting, "INTERACTIVE_SECONDS", 20.0)
        waiting.become_interactive()
        assert bounded(lambda: _until(lambda: said() != "") or 7, "the hub", "wait") == 7
        assert "waiting for the hub; this command ends after 20 s" in said()

    def test_it_ends_and_says_what_to_do(self) -> None:
        waiting.become_interactive()
        release = threading.Event()
        began = time.monotonic()
        with pytest.raises(NoAnswer, match="the hub has not answered for 1 s; ask the doctor"):
            bounded(release.wait, "the hub", "ask the doctor")
        assert time.monotonic() - began < 5
        release.set()

    def test_nobody_waits_for_a_trial(self) -> None:
        assert bounded(lambda: time.sleep(1.3) or 7, "the hub", "wait") == 7

    def test_errors_pass(self) -> None:
        waiting.become_interactive()
        with pytest.raises(ZeroDivisionError):
            bounded(lambda: 1 / 0, "the hub", "wait")


class TestStores:
    def test_a_closed_port(self, capsys: pytest.CaptureFixture[str]) -> None:
        waiting.become_interactive()
        uri = s3_uri(f"127.0.0.1:{free_port()}", "bucket/x")
        _ends(uri)
        assert f"waiting for the store {uri} (Connection refused)" in capsys.readouterr().err

    def test_a_server_that_says_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        waiting.become_interactive()
        with black_hole() as address:
            _ends(s3_uri(address, "bucket/x"))
        assert capsys.readouterr().err.count("waiting for the store") == 1

    def test_what_follows_does_not_wait_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A command that ends releases its leases, for example."""
        waiting.become_interactive()
        uri = s3_uri(f"127.0.0.1:{free_port()}", "bucket/x")
        _ends(uri)
        monkeypatch.setattr(waiting, "INTERACTIVE_SECONDS", 1000.0)
        began = time.monotonic()
        with pytest.raises(Unreachable):
            open_store(uri).write("a", b"")
        assert time.monotonic() - began < 100

    def test_a_server_that_comes_late(
        self, s3_endpoint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(waiting, "INTERACTIVE_SECONDS", 20.0)
        waiting.become_interactive()
        with TcpProxy(s3_endpoint) as proxy:
            proxy.stall()
            threading.Timer(0.6, proxy.resume).start()
            assert open_store(s3_uri(proxy.endpoint, f"bucket/{uuid.uuid4().hex}")).read("a") is None
        assert "waiting for the store" in capsys.readouterr().err

    def test_a_trial_waits_longer(self, s3_endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
        with TcpProxy(s3_endpoint) as proxy:
            proxy.cut()
            threading.Timer(2.0, proxy.resume).start()
            assert open_store(s3_uri(proxy.endpoint, f"bucket/{uuid.uuid4().hex}")).read("a") is None
        said = capsys.readouterr().err
        assert said.count("waiting for the store") == 1
        assert "this command ends" not in said


class TestOthers:
    """Servers that accept connections and say nothing."""

    def test_a_database(self, capsys: pytest.CaptureFixture[str]) -> None:
        from stilts.search.database import open_database

        waiting.become_interactive()
        with black_hole() as address, pytest.raises(NoAnswer, match=r"database .* for 1 s; `stilts doctor -e SEARCH"):
            open_database(f"postgresql+psycopg://me:hunter22@{address}/optuna")
        said = capsys.readouterr().err
        assert "waiting for the database of the study" in said
        assert "hunter22" not in said

    def test_the_hub(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        from huggingface_hub import HfApi

        from stilts.encoders.hub import ask_hub

        waiting.become_interactive()
        with black_hole() as address, pytest.raises(NoAnswer, match=r"for 1 s; .*HF_HUB_OFFLINE=1"):
            ask_hub(lambda: HfApi(endpoint=f"http://{address}").model_info("a/b", timeout=5))
        assert "waiting for the Hugging Face hub at http" in capsys.readouterr().err

    def test_a_tracker(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pytest.importorskip("mlflow")
        from stilts.run.trackers.open import open_trackers

        waiting.become_interactive()
        with black_hole() as address:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{address}")
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
            with pytest.raises(
                NoAnswer, match=r"the tracker mlflow at http://127.* for 1 s; check MLFLOW_TRACKING_URI"
            ):
                open_trackers(["mlflow"], "name", tmp_path)


PLANNED = """\
name: tiny
store: s3://bucket/{name}
models: {{tiny: {{init: {{config: {{model_type: xlm-roberta, hidden_size: 16, num_hidden_layers: 1,
  num_attention_heads: 2}}, tokenizer: {{vocab_size: 300}}}}}}}}
seeds: [1]
intermediates: [none]
targets: {{xnli: {{languages: [en]}}}}
recipe: {{max_steps: 2}}
data: {{xtreme: xtreme, tasks: {{mlm: {{train: "{{lang}}.txt"}}}}}}
languages: present
"""


@pytest.mark.slow
class TestCommands:
    """The true command, with the true times."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "xtreme" / "xnli").mkdir(parents=True)
        for split in ("train", "dev"):
            (tmp_path / "xtreme" / "xnli" / f"{split}-en.tsv").write_text("A.\tB.\tentailment\nA.\tC.\tneutral\n")
        (tmp_path / "xtreme" / "xnli" / "test-en.tsv").write_text("A.\tB.\n")
        (tmp_path / "en.txt").write_text("A man eats.\n")
        (tmp_path / "tiny.yaml").write_text(PLANNED.format(name=uuid.uuid4().hex))
        return tmp_path

    def _run(self, folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str, float]:
        command = [sys.executable, "-m", "stilts", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "STILTS_CACHE": str(folder / "cache"), **variables}
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout, done.stderr, time.monotonic() - began

    @pytest.mark.parametrize("command", ["plan", "status", "collect"])
    def test_a_dead_store(self, folder: Path, command: str) -> None:
        code, out, err, took = self._run(
            folder, command, "tiny.yaml", AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}"
        )
        assert (code, out) == (1, "")
        line, error = err.splitlines()
        assert line.startswith("waiting for the store s3://bucket/")
        assert line.endswith("; this command ends after 30 s without an answer")
        assert "`stilts doctor --store 's3://bucket/" in error
        assert 20 < took < 60

    def test_a_dead_cluster(self, folder: Path) -> None:
        address = f"127.0.0.1:{free_port()}"
        code, out, err, took = self._run(
            folder, "run", "tiny.yaml", "--set", f"store={folder}/store", RAY_ADDRESS=address
        )
        assert (code, out) == (1, "")
        assert f"waiting for the Ray cluster at {address} (RAY_ADDRESS) (Connection refused)" in err
        assert "`stilts doctor` checks the connection" in err
        assert 30 < took < 75

    def test_a_store_that_takes_five_seconds(self, folder: Path, s3_endpoint: str) -> None:
        with TcpProxy(s3_endpoint) as proxy:
            proxy.stall()
            threading.Timer(7.0, proxy.resume).start()
            code, out, err, _ = self._run(
                folder,
                "plan",
                "tiny.yaml",
                "--json",
                AWS_ENDPOINT_URL=f"http://{proxy.endpoint}",
                AWS_REGION="us-east-1",
            )
        assert code == 0
        assert json.loads(out)["to_train"] == 1
        assert "waiting for the store" in err


def _ends(uri: str) -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"has not answered for \d+ s .*`stilts doctor --store 's3://bucket/x\?"):
        open_store(uri).read("a")
    assert 0.2 < time.monotonic() - began < 20


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
