"""Canonical JSON, the keys that are made of it, and the versions that enter every key.

Equal values give equal bytes on every machine and in every Python version. A value that has no canonical form raises an
error. `docs/changing.md` says which version to raise for which change.
"""

import hashlib
import json
import math
from typing import Any

KEY_VERSION = 3
"""Version of the form of all keys. Raising it changes every key: nothing that is stored is reused."""

TRAINING_VERSION = 1
"""Raised when a change of the code gives other weights for the same recipe and data. Every stage is then trained again.
"""

EVALUATION_VERSION = 1
"""Raised when a change of the code gives other predictions or scores for the same weights. Every evaluation is then
done again, from the stored weights if they were kept. For a change that concerns one task alone, raise `Task.version`
(what it reads or trains) or `Task.evaluation_version` (how it predicts and scores) instead."""


def canonical(value: Any) -> str:
    """JSON with sorted keys, no white space, and floats in their shortest repr; integral floats equal ints.

    Raises:
        ValueError: a value without a canonical form (NaN, infinity, a non-string key, any other type).
    """
    return json.dumps(_plain(value, ("$",)), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """sha256 over the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


_SCALARS = frozenset({str, int, bool, type(None)})


def _plain(value: Any, path: tuple[Any, ...]) -> Any:
    """Convert a value to JSON's own types.

    Args:
        path: where the value stands, as the path of its container and its key or index; written out for messages alone.
    """
    if type(value) in _SCALARS or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{_written(path)}: {value} has no canonical form")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, list | tuple):
        return [item if type(item) in _SCALARS else _plain(item, (path, i)) for i, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{_written(path)}: key {key!r} is not a string")
        return {key: item if type(item) in _SCALARS else _plain(item, (path, key)) for key, item in value.items()}
    raise ValueError(f"{_written(path)}: {type(value).__name__} has no canonical form")


def _written(path: tuple[Any, ...]) -> str:
    """Format a path, as `$.stages[2].recipe`."""
    if len(path) == 1:
        return str(path[0])
    parent, key = path
    return _written(parent) + (f"[{key}]" if isinstance(key, int) else f".{key}")
