"""URIs of stores: what is read from them, and that no credentials are taken or repeated."""

from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.storage.open import open_store
from stilts.storage.uri import Location, parse_uri


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("s3://bucket", Location("s3", "bucket", "")),
        ("s3://bucket/a/b/", Location("s3", "bucket", "a/b")),
        ("gs://my.bucket_1/a", Location("gs", "my.bucket_1", "a")),
        ("s3://bucket/a?region=eu-west-1", Location("s3", "bucket", "a", region="eu-west-1")),
        (
            "s3://bucket/a?endpoint_override=localhost:9000&scheme=http",
            Location("s3", "bucket", "a", endpoint="localhost:9000", scheme="http"),
        ),
        (
            "s3://bucket/a?endpoint_override=http://localhost:9000/",
            Location("s3", "bucket", "a", endpoint="localhost:9000", scheme="http"),
        ),
    ],
)
def test_a_uri_and_back(uri: str, location: Location) -> None:
    assert parse_uri(uri) == location
    assert parse_uri(location.uri) == location


def test_the_environment_becomes_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://minio.example:9000")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    uri = "s3://bucket/a?region=eu-north-1&endpoint_override=minio.example:9000"
    assert open_store("s3://bucket/a").uri == uri
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    assert parse_uri("s3://bucket/a").endpoint == "127.0.0.1:1"
    assert parse_uri("gs://bucket/a") == Location("gs", "bucket", "a")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIAHUSH:HUSH@bucket/a",
        "s3://AKIAHUSH@bucket/a",
        "gs://HUSH@bucket",
        "s3://bucket/a?access_key=HUSH",
        "s3://bucket/a?secret_key=HUSH&region=x",
        "s3://bucket/a?session_token=HUSH",
        "s3://bucket/a?X-Amz-Credential=HUSH",
        "s3://bucket/a?endpoint_override=user:HUSH@host:9000",
        "gs://bucket/a?access_token=HUSH",
    ],
)
def test_credentials_are_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(StiltsError, match=r"holds credentials; take them out and give them in the") as error:
        open_store(uri)
    assert "HUSH" not in str(error.value)


def test_a_scheme_that_is_not_known_does_not_repeat_the_uri() -> None:
    with pytest.raises(StiltsError, match="no storage for ftp://") as error:
        open_store("ftp://user:HUSH@host/x")
    assert "HUSH" not in str(error.value)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://", "give it as s3://BUCKET/PREFIX"),
        ("s3:///a", "give it as s3://BUCKET/PREFIX"),
        ("s3://bucket/a#b", "give it as s3://BUCKET/PREFIX"),
        ("s3://bucket/../x", "no path inside a store"),
        ("s3://bucket/a//b", "no path inside a store"),
        ("s3://bucket/a?regoin=x", "no parameter 'regoin'; did you mean 'region'"),
        ("gs://bucket/a?region=x", "no parameter 'region'"),
        ("s3://bucket/a?scheme=ftp", "scheme is http or https"),
    ],
)
def test_mistakes_are_said(uri: str, message: str) -> None:
    with pytest.raises(StiltsError) as error:
        open_store(uri)
    assert message in str(error.value)
