"""Clients: the two libraries through which a bucket is reached, configured alike from one `Location`.

`pyarrow.fs` carries the large files. `obstore` has the small objects, for what `pyarrow.fs` does not do: create only
what does not exist; read an object in one request (two can see the head of one version and the body of the next); list
folders of Google storage that nobody made; remove without leaving an empty object in place of the folder.
"""

import contextlib
import importlib.util
import json
import os
from datetime import timedelta
from typing import Any

from obstore.store import GCSStore, S3Store
from pyarrow import fs

from stilts.storage.uri import Location

CONNECT_SECONDS = 10
REQUEST_SECONDS = 30
"""A request that has not been answered by then is made again."""

GCS_RETRY = timedelta(seconds=30)


_process: int | None = None
"""The process whose threads carry obstore's requests: a fork of it has none, and would wait for ever."""


def check_process() -> None:
    """Raise in a process that was forked from one that used an object store.

    Raises:
        RuntimeError: it must be started anew (spawn), as Ray starts its workers.
    """
    if _process not in (None, os.getpid()):
        raise RuntimeError("an object store was used before this process was forked: start it by spawn instead")


class Clients:
    """Attributes:
    objects: obstore's view of the store; paths are relative to its prefix.
    files: pyarrow's view of everything; paths begin with `root`.
    root: bucket and prefix, with a slash at the end.
    """

    def __init__(self, location: Location) -> None:
        global _process  # noqa: PLW0603
        _process = _process or os.getpid()
        self.objects = _s3_objects(location) if location.kind == "s3" else _gcs_objects(location)
        self.files = _s3_files(location) if location.kind == "s3" else _gcs_files(location)
        self.root = f"{location.bucket}/{location.prefix}/" if location.prefix else f"{location.bucket}/"


def _s3_objects(location: Location) -> S3Store:
    settings: dict[str, Any] = {"region": _region(location)}
    if location.endpoint:
        settings["endpoint"] = f"{location.scheme}://{location.endpoint}"
    # obstore knows the environment and the roles of machines; profiles and single sign-on are boto3's.
    if not os.environ.get("AWS_ACCESS_KEY_ID") and importlib.util.find_spec("boto3"):
        from obstore.auth.boto3 import Boto3CredentialProvider

        with contextlib.suppress(ValueError):  # it has none
            settings["credential_provider"] = Boto3CredentialProvider()
    return S3Store(location.bucket, prefix=location.prefix or None, **settings, **_common(location))


def _s3_files(location: Location) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        region=_region(location),
        endpoint_override=location.endpoint or None,
        scheme=location.scheme,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        allow_delayed_open=True,
    )


def _region(location: Location) -> str:
    """The bucket's region, asked of AWS where nothing says it; other servers do not care."""
    if location.region or location.endpoint:
        return location.region or "us-east-1"
    return fs.resolve_s3_region(location.bucket)


def _gcs_objects(location: Location) -> GCSStore:
    settings: dict[str, Any] = {}
    if location.endpoint:
        account = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": _is_open(location)}
        base = {"gcs_base_url": f"{location.scheme}://{location.endpoint}"}
        settings["config"] = {"service_account_key": json.dumps(account | base)}
    return GCSStore(location.bucket, prefix=location.prefix or None, **settings, **_common(location))


def _gcs_files(location: Location) -> fs.GcsFileSystem:
    return fs.GcsFileSystem(
        anonymous=_is_open(location),
        scheme=location.scheme,
        endpoint_override=location.endpoint or None,
        retry_time_limit=GCS_RETRY,
    )


def _is_open(location: Location) -> bool:
    """An emulator: no credentials go over a connection that is not encrypted."""
    return location.scheme == "http"


def _common(location: Location) -> dict[str, Any]:
    return {
        "client_options": {
            "allow_http": location.scheme == "http",
            "connect_timeout": f"{CONNECT_SECONDS}s",
            "timeout": f"{REQUEST_SECONDS}s",
        },
        # Retries are this package's own: a repetition that nobody sees makes an exclusive creation ambiguous.
        "retry_config": {"max_retries": 0},
    }
