"""What the doctor says of stores."""

from pathlib import Path

import pytest

from stilts.monitor import doctor
from stilts.monitor.doctor import Finding, _disk, _store
from stilts.storage.open import open_store
from tests.servers import TcpProxy, s3_uri


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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
    found = _disk("s3://bucket/runs")
    assert (found.check, found.state) == ("cache", "warning")
    assert str(cache) in found.found
    assert "3 GB" in found.found
    assert isinstance(_disk(f"file://{tmp_path}/store"), Finding)
    assert _disk(f"file://{tmp_path}/store").check == "disk"
