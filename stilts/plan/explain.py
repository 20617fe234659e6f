"""Explain: why a stage is not reused, field by field, against the nearest stage that the store holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """One field of a hashed payload that is not the same."""

    field: str
    wanted: Any
    stored: Any


def differences(wanted: Any, stored: Any, field: str = "") -> list[Difference]:
    """The leaves in which two payloads differ, by dotted path; `None` where one side lacks the field."""
    if isinstance(wanted, dict) and isinstance(stored, dict):
        found = []
        for name in dict.fromkeys([*wanted, *stored]):
            path = f"{field}.{name}" if field else str(name)
            found += differences(wanted.get(name), stored.get(name), path)
        return found
    if isinstance(wanted, list) and isinstance(stored, list) and len(wanted) == len(stored):
        return [
            d for i, pair in enumerate(zip(wanted, stored, strict=True)) for d in differences(*pair, f"{field}.{i}")
        ]
    return [] if wanted == stored else [Difference(field, wanted, stored)]


def nearest_stage(
    payload: Mapping[str, Any], stored: Mapping[str, Mapping[str, Any]]
) -> tuple[str, list[Difference]] | None:
    """The stored stage of the same tasks that differs in the fewest fields, with those fields; None without any.

    Args:
        stored: hashed payloads by stage name.
    """
    tasks = _tasks(payload)
    candidates = [
        (name, differences(dict(payload), dict(other))) for name, other in stored.items() if _tasks(other) == tasks
    ]
    return min(candidates, key=lambda pair: (len(pair[1]), pair[0]), default=None)


def _tasks(payload: Mapping[str, Any]) -> list[str]:
    return [part["task"]["name"] for part in payload.get("parts", ())]
