"""Tables of examples and of features in the store: made and published once, and obtained by each node."""

from collections.abc import Sequence

import pyarrow as pa

from stilts.data.tables import digest_table, read_table, write_table
from stilts.errors import StiltsError
from stilts.identity.stage import DataRef
from stilts.storage.protocol import Store, Unreachable

_MEND = "remove it, then `stilts data prepare` makes it again"


def read_examples(store: Store, ref: DataRef) -> pa.Table:
    """Read the examples of a reference, memory-mapped.

    Raises:
        Corrupt: they were not published, or are damaged.
    """
    return read_table(store.obtain(ref.path))


def publish_table(store: Store, table: pa.Table, path: str) -> None:
    """Write a table and publish it. Several processes may publish the same table at the same time."""
    write_table(table, store.scratch(".") / path)
    store.publish(path)


def unpublished(store: Store, refs: Sequence[DataRef]) -> list[DataRef]:
    """Return the references whose examples are not in the store."""
    folders = {ref.path.rpartition("/")[0] for ref in refs}
    there = {f"{folder}/{name}" for folder in folders for name in store.list(folder)}
    return [ref for ref in refs if ref.path not in there]


def check_examples(store: Store, ref: DataRef) -> str | None:
    """Check the examples of a reference in the store; return what is wrong, or None."""
    try:
        table = read_examples(store, ref)
        digest = f"sha256:{digest_table(table)}"
    except Unreachable:
        raise
    except StiltsError as error:
        return str(error)
    except (pa.ArrowInvalid, ValueError) as error:  # what the file's beginning promises is not in it
        return f"{ref.path} is no file of examples ({error}); {_MEND}"
    if ref.rows is not None and table.num_rows != ref.rows:
        return f"{ref.path} has {table.num_rows} rows, and {ref.rows} were counted; {_MEND}"
    if ref.identity.startswith("sha256:") and digest != ref.identity:
        return f"{ref.path} is not what was read from the source (its digest differs); {_MEND}"
    return None
