"""What the doctor says of stores, clusters, databases, the hub and this machine."""

import os
import resource
import socket
import time
from pathlib import Path

import pytest

from stilts import waiting
from stilts.monitor import doctor, machine, services
from stilts.monitor.doctor import diagnose
from stilts.monitor.finding import Finding
from stilts.storage.local import LocalStore
from stilts.storage.open import open_store
from tests.servers import HttpProxy, TcpProxy, s3_uri


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _store(uri: str) -> Finding:
    """The worst finding about a store."""
    found = doctor._Waiting("store", lambda: services.store_findings(uri), uri).findings()
    assert all(one.remedy for one in found if one.state != "ok")
    return max(found, key=lambda one: ("ok", "warning", "failed").index(one.state))


def test_a_bucket_that_serves(s3_endpoint: str) -> None:
    uri = s3_uri(s3_endpoint, "bucket/doctor")
    assert _store(uri).state == "ok", _store(uri)
    assert list(open_store(uri).list(".")) == []


def test_a_bucket_that_is_not_there(s3_endpoint: str) -> None:
    found = _store(s3_uri(s3_endpoint, "no-such-bucket/doctor"))
    assert found.state == "failed"
    assert "there is no such bucket" in found.found


def test_credentials_in_the_uri_are_refused_and_not_repeated() -> None:
    found = _store("s3://hunter:hunter2@bucket/doctor")
    assert found.state == "failed"
    assert "AWS_PROFILE" in found.found
    assert "hunter2" not in found.found


def test_a_store_that_does_not_answer(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_ANSWER_SECONDS", 1.0)
    with TcpProxy(s3_endpoint) as proxy:
        proxy.stall()
        found = _store(s3_uri(proxy.endpoint, "bucket/doctor"))
        proxy.resume()
    assert found.state == "failed"
    assert "no answer in 1 s" in found.found


def test_the_disk_is_that_of_the_cache(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILTS_CACHE_GB", "3")
    found = services.disk("s3://bucket/runs")
    assert (found.check, found.state) == ("cache", "warning")
    assert str(cache) in found.found
    assert "3.0 GB" in found.found
    assert isinstance(services.disk(f"file://{tmp_path}/store"), Finding)
    assert services.disk(f"file://{tmp_path}/store").check == "disk"


def test_nothing_is_left_in_a_store(tmp_path: Path) -> None:
    assert _store(str(tmp_path / "new" / "store")).state == "ok"
    assert not (tmp_path / "new").exists()
    LocalStore(tmp_path / "store").write("a", b"x")
    assert _store(str(tmp_path / "store")).state == "ok"
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_can_only_be_read(tmp_path: Path) -> None:
    root = tmp_path / "store"
    LocalStore(root).write("a", b"x")
    root.chmod(0o555)
    try:
        found = _store(str(root))
    finally:
        root.chmod(0o755)
    assert found.state == "warning"
    assert "it can be read and not written" in found.found


def test_a_bucket_that_can_only_be_read(s3_endpoint: str) -> None:
    with HttpProxy(s3_endpoint) as proxy:
        proxy.act = lambda number, method, path: "403" if method == "PUT" else "pass"
        found = _store(s3_uri(proxy.endpoint, "bucket/doctor"))
    assert found.state == "warning"
    assert "it can be read and not written" in found.found
    assert "run does not" in found.found


def test_clocks_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's clock is an hour behind that of the file system."""
    now = time.time
    monkeypatch.setattr(services.time, "time", lambda: now() - 3600)
    found = _store(str(tmp_path / "store"))
    assert found.state == "warning"
    assert "the store 3600 s ahead of this machine" in found.found
    assert "synchronise the clocks" in found.remedy


def test_the_study_is_written_and_removed(tmp_path: Path) -> None:
    import optuna

    url = f"sqlite:///{tmp_path}/study.db"
    assert "does not exist yet" in services.study(url).found
    assert not (tmp_path / "study.db").exists()
    optuna.create_study(study_name="mine", storage=url)
    assert services.study(url).state == "ok"
    assert optuna.get_all_study_names(url) == ["mine"]


def test_a_dead_cluster_and_a_dead_database_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "INTERACTIVE_SECONDS", 1.0)
    monkeypatch.setattr(waiting, "_mode", waiting._Mode(interactive=True))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(8)
        url = f"postgresql+psycopg://me:hunter22@127.0.0.1:{mute.getsockname()[1]}/optuna"
        found = {one.check: one for one in diagnose(str(tmp_path / "store"), "127.0.0.1:9", url)}
    assert found["Ray"].state == "failed"
    assert "127.0.0.1:9" in found["Ray"].found
    assert found["study"].state == "failed"
    assert "has not answered" in found["study"].found
    assert "hunter22" not in str(found)
    assert all(one.remedy for one in found.values() if one.state != "ok")
    assert not (tmp_path / "store").exists()


def test_a_store_that_is_no_place_has_a_remedy_of_its_own() -> None:
    found = {finding.check: finding for finding in diagnose("C:\\runs", None)}
    assert "path of Windows" in found["disk"].found
    assert found["disk"].remedy == "correct the address of the store, or use another one"


def test_few_open_files_are_told() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        found = machine.open_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert found.state == "warning"
    assert found.remedy.startswith("ulimit -n ")


def test_this_machine() -> None:
    for check in (machine.memory, machine.temporary, machine.open_files, machine.ports):
        found = check()
        assert found.state in ("ok", "warning")
        assert (found.state == "ok") or found.remedy


def test_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert services.hub().state == "ok"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    found = services.hub()
    assert found.state == "warning"
    assert "http://127.0.0.1:9 does not answer: " in found.found
