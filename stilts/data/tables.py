"""Canonical tables: reading, writing, and their digest.

The digest covers the values and not the bytes of the Arrow file, so that it depends neither on the version of pyarrow
nor on the division of a table into chunks. Digests are part of keys: a change of their byte format raises
DIGEST_VERSION.
"""

import hashlib
import os
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.errors import StiltsError
from stilts.os_errors import explained

DIGEST_VERSION = 1


def digest_table(table: pa.Table) -> str:
    """sha256 (64 hex digits) over the names, types and values of the columns, in order.

    Integers are hashed as little-endian int64, strings as their lengths (little-endian int64) followed by their UTF-8
    bytes, lists as their lengths followed by their items, and structs field by field.

    Raises:
        ValueError: the table has a null, or a type that canonical tables do not have.
    """
    state = hashlib.sha256(f"stilts table {DIGEST_VERSION} {table.num_rows}\0".encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        state.update(f"{name}\0".encode())
        _update(state, column.chunks, column.type)
    return state.hexdigest()


def write_table(table: pa.Table, path: Path) -> None:
    """Write an Arrow file atomically: it is either complete or absent."""
    with explained("write", path, need=table.nbytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name}-{uuid.uuid4().hex[:8]}"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # the mode follows the umask
        try:
            with os.fdopen(handle, "wb") as file:
                with pa.ipc.new_file(file, table.schema) as writer:
                    writer.write_table(table)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def read_table(path: Path) -> pa.Table:
    """Read an Arrow file as a memory-mapped table.

    Raises:
        StiltsError: the file is not an Arrow file.
    """
    try:
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid as error:
        raise StiltsError(f"{path} is not an Arrow file ({error}); remove it and run again to create it") from None


def _update(state: "hashlib._Hash", chunks: list[pa.Array], kind: pa.DataType) -> None:
    if any(chunk.null_count for chunk in chunks):
        raise ValueError("canonical tables hold no nulls")
    if pa.types.is_integer(kind):
        state.update(b"i")
        for chunk in chunks:
            state.update(chunk.cast(pa.int64()).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
    elif pa.types.is_string(kind):
        state.update(b"s")
        for chunk in chunks:
            state.update(pc.binary_length(chunk).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
        for chunk in chunks:
            state.update(_string_bytes(chunk))
    elif pa.types.is_list(kind):
        state.update(b"l")
        for chunk in chunks:
            state.update(pc.list_value_length(chunk).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
        _update(state, [chunk.flatten() for chunk in chunks], kind.value_type)
    elif pa.types.is_struct(kind):
        for i in range(kind.num_fields):
            state.update(f"f{kind.field(i).name}\0".encode())
            _update(state, [chunk.flatten()[i] for chunk in chunks], kind.field(i).type)
    else:
        raise ValueError(f"canonical tables hold no {kind}")


def _string_bytes(chunk: pa.StringArray) -> memoryview:
    _, offsets, data = chunk.buffers()
    if len(chunk) == 0 or data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    return memoryview(data)[int(ends[0]) : int(ends[-1])]
