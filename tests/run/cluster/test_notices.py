"""What the sources make of real answers, good and bad, of a server that plays the clouds' metadata services."""

import json
import threading
import time
from collections.abc import Iterator

import pytest

from stilts.errors import StiltsError
from stilts.run.cluster import notices
from stilts.run.cluster.notices import Aws, Google, Notice, Unavailable, notice_source
from tests.run.cluster.metadata import ACTION, REBALANCE, Metadata, serving

AT = "2036-09-18T08:22:00Z"


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[Metadata]:
    with serving() as (found, address):
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://{address}/")
        monkeypatch.setenv("GCE_METADATA_HOST", address)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # must not be asked
        yield found


def test_aws_announces_nothing_then_an_interruption(metadata: Metadata) -> None:
    aws = Aws()
    assert aws() is None
    assert aws() is None
    metadata.aws[ACTION] = json.dumps({"action": "terminate", "time": AT})
    assert aws() == Notice("AWS: terminate at 08:22:00 UTC", 2105338920.0)
    assert [method for method, _ in metadata.asked].count("PUT") == 1


def test_aws_recommends_to_leave(metadata: Metadata) -> None:
    aws = Aws()
    metadata.aws[REBALANCE] = json.dumps({"noticeTime": AT})
    assert aws() == Notice(f"AWS recommends to leave this machine since {AT}", certain=False)
    metadata.aws[ACTION] = json.dumps({"action": "stop", "time": AT})
    found = aws()
    assert found is not None
    assert found.certain


@pytest.mark.parametrize("content", [{"action": "hibernate"}, {"action": "stop", "time": "soon"}])
def test_an_interruption_without_a_time_comes_within_two_minutes(metadata: Metadata, content: dict) -> None:
    metadata.aws[ACTION] = json.dumps(content)
    found = Aws()()
    assert found is not None
    assert found.deadline == pytest.approx(time.time() + 120, abs=5)


def test_a_token_that_has_run_out_is_renewed(metadata: Metadata) -> None:
    metadata.token_seconds = 0.2
    aws = Aws()
    assert aws() is None
    time.sleep(0.3)
    assert aws() is None
    assert [path for _, path in metadata.asked].count("/latest/api/token") == 2


def test_tokens_that_never_hold_are_no_endless_loop(metadata: Metadata) -> None:
    metadata.token_seconds = -1.0
    with pytest.raises(Unavailable, match="refuses the token"):
        Aws()()
    assert len(metadata.asked) == 4


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_errors_of_the_service_are_no_notices(metadata: Metadata, status: int) -> None:
    aws, google = Aws(), Google()
    assert aws() is google() is None
    metadata.broken = status
    for ask in (aws, google):
        with pytest.raises(Unavailable, match=str(status)):
            ask()
    metadata.broken = None
    assert aws() is google() is None


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "<html>", '"terminate"', "\0"])
def test_what_is_no_json_object_is_no_notice(metadata: Metadata, body: str) -> None:
    metadata.aws[ACTION] = body
    with pytest.raises(Unavailable, match="no JSON object"):
        Aws()()


def test_slow_answers_are_not_waited_for(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "ANSWER_SECONDS", 0.2)
    metadata.delay = 5.0
    begin = time.monotonic()
    with pytest.raises(Unavailable, match="cannot be asked"):
        Aws()()
    assert time.monotonic() - begin < 4


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    for ask in (Aws(), Google()):
        with pytest.raises(Unavailable, match="cannot be asked"):
            ask()
    with pytest.raises(Unavailable, match="no metadata service"):
        notice_source("auto")


def test_google_is_asked_once_at_once_and_then_waits_for_the_change(metadata: Metadata) -> None:
    google = Google()
    assert google() is None
    begin = time.monotonic()
    threading.Timer(0.5, setattr, (metadata, "preempted", "TRUE")).start()
    found = google()
    assert found is not None
    assert 0.3 < time.monotonic() - begin < 10
    assert found.deadline == pytest.approx(time.time() + 30, abs=5)


def test_a_change_between_two_requests_is_not_missed(metadata: Metadata) -> None:
    google = Google()
    assert google() is None
    metadata.preempted = "TRUE"
    begin = time.monotonic()
    assert google() is not None
    assert time.monotonic() - begin < 5


def test_a_preemption_before_the_first_request_is_told(metadata: Metadata) -> None:
    metadata.preempted = "TRUE"
    assert Google()() is not None


def test_a_long_poll_without_news_is_no_notice(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "LONG_POLL_SECONDS", 1)
    google = Google()
    assert google() is None
    assert google() is None


def test_google_says_something_else(metadata: Metadata) -> None:
    metadata.preempted = "MAYBE"
    with pytest.raises(Unavailable, match="neither TRUE nor FALSE"):
        Google()()


@pytest.mark.parametrize(("cloud", "name"), [("aws", "AWS"), ("gcp", "Google")])
def test_the_cloud_is_found(metadata: Metadata, cloud: str, name: str) -> None:
    metadata.clouds = {cloud}
    assert notice_source("auto")[0] == name


def test_a_further_cloud_is_a_function() -> None:
    assert notice_source("tests.run.cluster.test_notices:another_cloud")[1]() == Notice("goes at noon")
    for wrong in ("azure", "tests.run.cluster.test_notices:none", "nowhere:f"):
        with pytest.raises(StiltsError, match="no cloud"):
            notice_source(wrong)


def another_cloud() -> Notice:
    return Notice("goes at noon")
