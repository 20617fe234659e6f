"""The connection to a bucket: one library, obstore, configured from a `Location`."""

import contextlib
import importlib.util
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPException
from typing import Any

from obstore.exceptions import GenericError
from obstore.store import GCSStore, S3Store

from stilts.errors import StiltsError
from stilts.storage.uri import Location
from stilts.waiting import patience

AWS = "https://s3.amazonaws.com"
CONNECT_SECONDS = 10
REQUEST_SECONDS = 30
"""A request that has not been answered by then is repeated."""

PART_SECONDS = 120
PART_RETRIES = 3
PART_RETRY_SECONDS = 300
"""The same for one part of a large file. obstore repeats parts by itself, so that the file need not be sent again."""

_process: int | None = None
"""The process whose threads carry out obstore's requests. A forked child has none of these threads and would hang."""


def check_process() -> None:
    """Refuse to be used in a process that was forked from one that has used a bucket.

    Raises:
        RuntimeError: the process must be started by spawn, as Ray starts its workers.
    """
    if _process not in (None, os.getpid()):
        raise RuntimeError("an object store was used before this process was forked: start it by spawn instead")


@dataclass(frozen=True)
class Clients:
    """Two views of the same prefix of a bucket. Paths are relative to the prefix.

    Attributes:
        objects: for small objects. It never retries, because a repetition that the caller does not know of makes the
            result of an exclusive creation ambiguous; `retry.py` retries.
        files: for the upload of large files in parts. It retries each part, which is safe to repeat.
    """

    objects: S3Store | GCSStore
    files: S3Store | GCSStore


def connect(location: Location) -> Clients:
    """Open a bucket.

    Raises:
        StiltsError: the bucket does not exist in AWS, and its region is not given.
    """
    global _process  # noqa: PLW0603
    _process = _process or os.getpid()
    settings = _s3_settings(location) if location.kind == "s3" else _gcs_settings(location)
    store = S3Store if location.kind == "s3" else GCSStore
    retries = {
        "max_retries": PART_RETRIES,
        "retry_timeout": timedelta(seconds=patience(location.uri, PART_RETRY_SECONDS)),
    }

    def view(seconds: int, retry_config: Any) -> S3Store | GCSStore:
        options: Any = {
            "allow_http": location.scheme == "http",
            "connect_timeout": f"{CONNECT_SECONDS}s",
            "timeout": f"{seconds}s",
        }
        prefix = location.prefix or None
        return store(location.bucket, prefix=prefix, client_options=options, retry_config=retry_config, **settings)

    return Clients(objects=view(REQUEST_SECONDS, {"max_retries": 0}), files=view(PART_SECONDS, retries))


def _s3_settings(location: Location) -> dict[str, Any]:
    settings: dict[str, Any] = {"region": _region(location)}
    if location.endpoint:
        settings["endpoint"] = f"{location.scheme}://{location.endpoint}"
    # obstore reads the environment and asks for the roles of machines. boto3 also knows profiles and single sign-on.
    if not os.environ.get("AWS_ACCESS_KEY_ID") and importlib.util.find_spec("boto3"):
        from obstore.auth.boto3 import Boto3CredentialProvider

        with contextlib.suppress(ValueError):  # boto3 finds no credentials
            settings["credential_provider"] = Boto3CredentialProvider()
    return settings


def _region(location: Location) -> str:
    """Region of an S3 bucket. If the location does not say it, AWS is asked; other servers ignore the region.

    AWS names it in a header of its answer to everybody, whether or not they may use the bucket.
    """
    if location.region or location.endpoint:
        return location.region or "us-east-1"
    request = urllib.request.Request(f"{AWS}/{location.bucket}", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise StiltsError(f"{location}: there is no such bucket; create it, or correct the URI") from error
        headers = error.headers
    except (OSError, HTTPException) as error:
        raise GenericError(f"the region of the bucket cannot be asked at {AWS}: {error}") from error  # it is retried
    return str(headers.get("x-amz-bucket-region") or "us-east-1")


def _gcs_settings(location: Location) -> dict[str, Any]:
    if not location.endpoint:
        return {}
    # No credentials are sent over a connection that is not encrypted, which is that of an emulator.
    unsafe = location.scheme == "http"
    account = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": unsafe}
    base = {"gcs_base_url": f"{location.scheme}://{location.endpoint}"}
    return {"config": {"service_account_key": json.dumps(account | base)}}
