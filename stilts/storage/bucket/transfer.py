"""Upload and download of large files of a bucket, in parts."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import obstore

from stilts.storage.retry import permanent, retried

CHUNK = 16 << 20
"""Bytes of one request of a download."""

PART = 8 << 20
"""Bytes of one part of an upload; larger for a file with more than `MAX_PARTS` of them."""

PARTS_AT_ONCE = 4
"""Parts of one file that are sent at a time: at most so many are in memory."""

MAX_PARTS = 10_000
"""S3 and Google take no more for one object."""


def upload(source: Path, objects: Any, files: Any, path: str, what: str, uri: str) -> dict[str, int | str]:
    """Upload a file, and return its entry in a manifest. The object appears when all of it has arrived.

    Args:
        objects, files: as in `Clients`.
        what, uri: describe the request in messages, as in `retried`.
    """
    size = source.stat().st_size
    part = max(PART, size // MAX_PARTS + 1)

    def send() -> str:
        digest = hashlib.sha256()
        with source.open("rb") as reader:
            if size <= part:
                content = reader.read()
                digest.update(content)
                obstore.put(objects, path, content, use_multipart=False)
            else:
                _upload_parts(files, path, _hashed(reader, part, digest.update), part, size)
        return digest.hexdigest()

    return {"bytes": size, "sha256": retried(send, what, uri, transfer=True)}


def _upload_parts(files: Any, path: str, parts: Iterator[bytes], part: int, size: int) -> None:
    """Upload the parts of a file; if anything fails, the upload is aborted and no object appears."""
    try:
        obstore.put(files, path, parts, use_multipart=True, chunk_size=part, max_concurrency=PARTS_AT_ONCE)
    except FileNotFoundError as error:
        # If the answer to the completion was lost, the repeated request finds no upload: the object is there.
        if permanent(error) or obstore.head(files, path)["size"] != size:
            raise


def _hashed(reader: BinaryIO, part: int, update: Callable[[bytes], None]) -> Iterator[bytes]:
    """The parts of a file, each passed to the hash function first."""
    while content := reader.read(part):
        update(content)
        yield content


def download(objects: Any, path: str, size: int, target: Path, ranges: ThreadPoolExecutor, what: str, uri: str) -> None:
    """Download an object of known size to a file that is on disk when this returns.

    Args:
        ranges: carries out the requests, each for `CHUNK` bytes.
        what, uri: describe the requests in messages, as in `retried`.

    Raises:
        FileNotFoundError: there is no such object.
    """

    def fetch(offset: int) -> None:
        length = min(CHUNK, size - offset)
        content = retried(
            lambda: obstore.get_range(objects, path, start=offset, length=length), what, uri, transfer=True
        )
        os.pwrite(out.fileno(), content, offset)

    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        list(ranges.map(fetch, range(0, size, CHUNK)))
        out.flush()
        os.fsync(out.fileno())
