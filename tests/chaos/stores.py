"""Stores that can be made unreachable: a local folder, and a bucket of an S3 server on localhost."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests import servers
from tests.chaos.ledger import BucketLedger, LocalLedger

_LEFTOVERS = (".aside-", "/resume")


class Place(Protocol):
    """A store for a grid, with control over its connection, and with checks that do not use the code under test."""

    uri: str

    def cut(self) -> None:
        """Make the store unreachable."""

    def mend(self) -> None:
        """Make the store reachable again."""

    def ledger(self) -> LocalLedger | BucketLedger:
        """A context manager that watches the records of the store."""

    def age(self) -> None:
        """Make the files of interrupted writers old enough for `stilts clean` to remove them."""

    def residue(self) -> list[str]:
        """Messages about files of interrupted writers, which must be gone when a grid has finished."""


class Local:
    """A local folder behind a symbolic link. It is unreachable while the link is broken."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._real, self._link = folder / "real", folder / "store"
        self._real.mkdir()
        self.uri = str(self._link)
        self.mend()

    def cut(self) -> None:
        self._lead_to("nowhere")

    def mend(self) -> None:
        self._lead_to("real")

    def _lead_to(self, target: str) -> None:
        aside = self._link.with_name("link")
        aside.symlink_to(target)
        aside.rename(self._link)

    def ledger(self) -> LocalLedger:
        return LocalLedger(self._real)

    def age(self) -> None:
        for left in [*self._real.rglob(".aside-*"), *self._real.rglob(".aside-*/**/*")]:
            os.utime(left, (0, 0))

    def residue(self) -> list[str]:
        return _residue(path.relative_to(self._real).as_posix() for path in self._real.rglob("*"))


class Bucket:
    """A bucket with versioning, which is reached through a proxy that can be cut."""

    def __init__(self, endpoint: str, proxy: servers.TcpProxy, name: str) -> None:
        import boto3

        self._proxy, self._name = proxy, name
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        self._client = boto3.client("s3", endpoint_url=f"http://{endpoint}", **keys)
        self._client.create_bucket(Bucket=name)
        self._client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        self.uri = servers.s3_uri(proxy.endpoint, f"{name}/store")

    def cut(self) -> None:
        self._proxy.cut()

    def mend(self) -> None:
        self._proxy.resume()

    def ledger(self) -> BucketLedger:
        return BucketLedger(self._client, self._name)

    def age(self) -> None:
        """Nothing to do: incomplete uploads are not listed, and the next upload to their place removes them."""

    def residue(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name)
        return _residue(item["Key"] for page in pages for item in page.get("Contents", []))


def _residue(paths: Iterator[str]) -> list[str]:
    return [f"in the store: {path}" for path in paths if any(mark in path for mark in _LEFTOVERS)]


@contextlib.contextmanager
def buckets() -> Iterator[tuple[str, servers.TcpProxy]]:
    """An S3 server and a proxy in front of it, as `Bucket` needs them."""
    with servers.s3_server() as endpoint, servers.TcpProxy(endpoint) as proxy:
        yield endpoint, proxy
