"""Open a store by its URI."""

from pathlib import Path

from stilts.errors import StiltsError
from stilts.store.local import LocalStore
from stilts.store.protocol import Store


def open_store(uri: str) -> Store:
    """The store at a URI: a local path, or `file://` and a path.

    Raises:
        StiltsError: the scheme is not known.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return LocalStore(Path(uri))
    if scheme == "file":
        return LocalStore(Path(rest))
    raise StiltsError(f"store {uri!r}: no storage for {scheme}://; give a local or shared directory")
