"""Open a store by its URI."""

from pathlib import Path

from stilts.errors import StiltsError
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store
from stilts.storage.uri import SCHEMES, parse_uri


def open_store(uri: str) -> Store:
    """Open the store at a URI: a local path, `file://PATH`, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`.

    Raises:
        StiltsError: the scheme is unknown, or the URI is invalid (see `storage/uri.py`).
    """
    folder = local_folder(uri)
    if folder is not None:
        return LocalStore(folder)
    scheme = uri.partition("://")[0]
    if scheme in SCHEMES:
        from stilts.storage.bucket.store import ObjectStore

        return ObjectStore(parse_uri(uri))
    raise StiltsError(f"the store: no storage for {scheme}://; give a local or shared directory, s3:// or gs://")


def local_folder(uri: str) -> Path | None:
    """Return the folder of a store on a file system, as the URI names it; None for an object store."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri)
    return Path(rest) if scheme == "file" else None
