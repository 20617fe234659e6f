"""How a bucket is reached: its region, and what an emulator gets."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from stilts.errors import StiltsError
from stilts.storage import retry
from stilts.storage.bucket import clients
from stilts.storage.protocol import Unreachable
from stilts.storage.uri import Location, parse_uri

REGIONS = {"/mine": (200, "eu-central-1"), "/others": (403, "ap-south-1"), "/moved": (301, "us-west-2")}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Answers as S3 does to a HEAD of a bucket: with its region, whatever the status."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            status, region = REGIONS.get(self.path, (404, ""))
            self.send_response(status)
            if region:
                self.send_header("x-amz-bucket-region", region)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    monkeypatch.setattr(clients, "AWS", f"http://127.0.0.1:{server.server_port}")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("bucket", ["mine", "others", "moved"])
def test_the_region_of_a_bucket_is_asked_of_aws(bucket: str) -> None:
    assert clients._region(parse_uri(f"s3://{bucket}/x")) == REGIONS[f"/{bucket}"][1]


@pytest.mark.usefixtures("aws")
def test_a_bucket_that_aws_does_not_have_is_said() -> None:
    with pytest.raises(StiltsError, match=r"s3://nothing/x: there is no such bucket"):
        clients._region(parse_uri("s3://nothing/x"))


@pytest.mark.usefixtures("aws")
def test_nobody_is_asked_where_the_region_is_given_or_does_not_matter() -> None:
    assert clients._region(Location("s3", "nothing", "x", region="eu-west-1")) == "eu-west-1"
    assert clients._region(Location("s3", "nothing", "x", endpoint="localhost:1")) == "us-east-1"


def test_a_region_that_cannot_be_asked_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "AWS", "http://127.0.0.1:1")
    monkeypatch.setattr(retry, "RETRY_SECONDS", 0.5)
    with pytest.raises(Unreachable, match=r"opening .*the region of the bucket cannot be asked"):
        retry.retried(lambda: clients._region(Location("s3", "mine", "x")), "opening s3://mine/x", "s3://mine/x")
