"""Mark: a file in the store by which a node checks that it sees the same store as the driver.

A path that every node mounts is one store. The same path on the local disk of each node is a different store on each,
and only the driver's would be read. Every node checks the mark before it trains, also one that joins later.
"""

import json
import platform
import uuid

from stilts.errors import StiltsError
from stilts.ledger.plain_json import read_object
from stilts.storage.protocol import Store

_MARK = "store.json"


def mark_of(store: Store) -> str:
    """Return the identifier of the store; the first caller creates it."""
    store.create(_MARK, json.dumps({"schema": 1, "id": uuid.uuid4().hex}).encode())
    mark = _read(store)
    if mark is None:
        raise StiltsError(f"{store.uri}/{_MARK} is damaged: remove it, then run again to write it anew")
    return mark


def check_mark(store: Store, mark: str) -> None:
    """Check that this machine sees the marked store. Writes nothing.

    Raises:
        StiltsError: it sees no store or another one at this path.
    """
    content = store.read(_MARK)
    if content is None or _read(store) != mark:
        what = "nothing" if content is None else "another store"
        raise StiltsError(
            f"the node {platform.node()} does not see the store: it finds {what} at {store.uri}. Put the store on a "
            "file system that all nodes mount at the same path, or use an object store (s3://, gs://)"
        )


def _read(store: Store) -> str | None:
    mark = (read_object(store, _MARK, "this store cannot be told from others") or {}).get("id")
    return mark if isinstance(mark, str) else None
