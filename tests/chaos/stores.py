"""Stores that can be made unreachable and read-only: a local folder, and a bucket of an S3 server on localhost."""

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests import servers
from tests.chaos.disk import Disk
from tests.chaos.ledger import BucketLedger, LocalLedger


class Place(Protocol):
    """A store for a grid, with control over its connection, and with checks that do not use the code under test."""

    uri: str
    disk: Disk | None
    """The disk on which the store lies, if it is one of its own."""

    def cut(self) -> None:
        """Make the store unreachable."""

    def read_only(self, chance: random.Random) -> str:
        """Make the store read-only; return how, in words."""

    def mend(self) -> None:
        """Make the store reachable and writable again."""

    def ledger(self) -> LocalLedger | BucketLedger:
        """A context manager that watches the records of the store."""

    def age(self) -> None:
        """Make the files of interrupted writers old enough for `stilts clean` to remove them."""

    def paths(self) -> list[str]:
        """Paths of all files and links of the store, relative to its root."""


class Local:
    """A local folder behind a symbolic link, which leads nowhere while the store is unreachable.

    Args:
        disk: the disk on which the folder lies, if it is one of its own.
    """

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self.disk = disk
        self._real, self._link = folder / "real", folder / "store"
        self._real.mkdir(parents=True, exist_ok=True)
        self.uri = str(self._link)
        self._lead_to("real")

    def cut(self) -> None:
        self._lead_to("nowhere")

    def read_only(self, chance: random.Random) -> str:
        assert self.disk is not None
        self.disk.read_only()
        return "the disk is mounted read-only"

    def mend(self) -> None:
        if self.disk is not None:
            self.disk.writable()
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

    def paths(self) -> list[str]:
        return [path.relative_to(self._real).as_posix() for path in self._real.rglob("*") if not path.is_dir()]


class Bucket:
    """A bucket with versioning, which is reached through a proxy that can be cut, or made to refuse writes."""

    disk = None

    def __init__(self, endpoint: str, proxy: servers.TcpProxy, refusing: servers.HttpProxy, name: str) -> None:
        import boto3

        self._endpoint, self._proxy, self._refusing, self._name = endpoint, proxy, refusing, name
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        self._client = boto3.client("s3", endpoint_url=f"http://{endpoint}", **keys)
        self._client.create_bucket(Bucket=name)
        self._client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        self.uri = servers.s3_uri(proxy.endpoint, f"{name}/store")

    def cut(self) -> None:
        self._proxy.cut()

    def read_only(self, chance: random.Random) -> str:
        status = chance.choice(["403", "503"])
        self._refusing.act = lambda number, method, path: "pass" if method in ("GET", "HEAD") else status
        self._lead_to(self._refusing.endpoint)
        return f"writes are answered with {status}"

    def mend(self) -> None:
        self._lead_to(self._endpoint)

    def _lead_to(self, endpoint: str) -> None:
        self._proxy.cut()
        self._proxy.lead_to(endpoint)
        self._proxy.resume()

    def ledger(self) -> BucketLedger:
        return BucketLedger(self._client, self._name)

    def age(self) -> None:
        """Nothing to do: incomplete uploads are not listed, and the next upload to their place removes them."""

    def paths(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name)
        return [item["Key"].removeprefix("store/") for page in pages for item in page.get("Contents", [])]


@contextlib.contextmanager
def buckets() -> Iterator[tuple[str, servers.TcpProxy, servers.HttpProxy]]:
    """An S3 server and the proxies in front of it, as `Bucket` needs them."""
    with (
        servers.s3_server() as endpoint,
        servers.TcpProxy(endpoint) as proxy,
        servers.HttpProxy(endpoint) as refusing,
    ):
        yield endpoint, proxy, refusing
