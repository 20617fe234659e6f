"""Mark: a file by which a machine tells that it sees the store that the driver sees.

A path that every node mounts is one store; the same path on each node's own disk is several, of which only the driver's
is ever read. A node that joins later, as an autoscaler's do, finds out by the mark before it trains anything.
"""

import json
import platform
import uuid

from stilts.errors import StiltsError
from stilts.storage.protocol import Store

_MARK = "store.json"


def mark_of(store: Store) -> str:
    """What tells the store from every other; given to it by the first who asks."""
    store.create(_MARK, json.dumps({"schema": 1, "id": uuid.uuid4().hex}).encode())
    mark: str = json.loads(store.read(_MARK) or b"")["id"]
    return mark


def check_mark(store: Store, mark: str) -> None:
    """Raise where what this machine sees is not the marked store. Writes nothing.

    Raises:
        StiltsError: says what this machine lacks.
    """
    content = store.read(_MARK)
    if content is None or json.loads(content)["id"] != mark:
        what = "nothing" if content is None else "another store"
        raise StiltsError(
            f"the node {platform.node()} does not see the store: it finds {what} at {store.uri}. Put the store on a "
            "file system that all nodes mount at the same path, or use an object store (s3://, gs://)"
        )
