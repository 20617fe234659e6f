"""Names and lists in an experiment: their types and checks."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
"""A name that becomes part of file names."""

Language = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,19}$")]
"""A language code. It is part of file names and replaces `{lang}` in paths."""


def tuples(value: Any) -> Any:
    """Lists as tuples, at any depth: strict validation takes no list for a tuple."""
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in value.items()}
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def check_plain_names(value: Sequence[Any], what: str) -> None:
    if not all(isinstance(name, str) for name in value):
        raise ValueError(f"where {what} is more than a name, write all of them as a mapping, NAME: ...")
    check_distinct(value)


def check_distinct(value: Sequence[Any]) -> None:
    repeated = next((item for i, item in enumerate(value) if item in value[:i]), None)
    if repeated is not None:
        raise ValueError(f"{repeated!r} is given twice")
