"""Stores that can be put out of reach: a local folder, and a bucket of an S3 server on localhost."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests import servers
from tests.chaos.ledger import BucketLedger, LocalLedger

_LEAVINGS = (".aside-", "/resume")


class Place(Protocol):
    """A store, its connection, and what is known of it beside what its clients say."""

    uri: str

    def cut(self) -> None:
        """Nobody reaches it from now on."""

    def mend(self) -> None:
        """Everybody does again."""

    def ledger(self) -> LocalLedger | BucketLedger:
        """What watches its records."""

    def age(self) -> None:
        """Let so much time pass that what interrupted writers left is taken for that."""

    def residue(self) -> list[str]:
        """What an interrupted writer may leave, and a finished grid must not."""


class Local:
    """A local folder, out of reach while the link that leads there points to nowhere."""

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
    """A bucket that keeps every version, reached through a proxy that can be cut."""

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
        """Nothing to do: no listing shows what they left, and the next tree at the place takes it away."""

    def residue(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name)
        return _residue(item["Key"] for page in pages for item in page.get("Contents", []))


def _residue(paths: Iterator[str]) -> list[str]:
    return [f"in the store: {path}" for path in paths if any(mark in path for mark in _LEAVINGS)]


@contextlib.contextmanager
def buckets() -> Iterator[tuple[str, servers.TcpProxy]]:
    """An S3 server and the proxy before it: what a `Bucket` needs."""
    with servers.s3_server() as endpoint, servers.TcpProxy(endpoint) as proxy:
        yield endpoint, proxy
