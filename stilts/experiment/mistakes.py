"""Mistakes in a declaration: turns pydantic's errors into one message per field, in the words of a YAML author."""

import re
import reprlib
from collections.abc import Sequence
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from stilts.errors import Problems, nearest

Location = tuple[str | int, ...]
"""Path of a value from the top of the declaration: `("recipes", "xnli", "epochs")`."""


class Mistake(NamedTuple):
    """A value that an experiment cannot have, and why."""

    location: Location
    message: str

    def __str__(self) -> str:
        path = ".".join(map(str, self.location))
        return f"{path}: {self.message}" if path else self.message


class InvalidExperiment(Problems):
    """A declaration with mistakes.

    Attributes:
        mistakes: every mistake, with the path of its field.
    """

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = list(mistakes)
        super().__init__([str(mistake) for mistake in mistakes])

    def __reduce__(self) -> tuple[type, tuple[list[Mistake]]]:
        return type(self), (self.mistakes,)


def mistakes_of(model: type[BaseModel], error: ValidationError) -> list[Mistake]:
    """The mistakes that pydantic found in a declaration of this model, in the order of their fields."""
    found = _by_location(error)
    return [Mistake(location, _message(model, location, details)) for location, details in found.items()]


def kind_of(value: Any) -> str:
    """What a value is, in the words of YAML: `a list`, `text ('a')`, `a number (1)`."""
    names = {dict: "a mapping", list: "a list", tuple: "a list", str: "text", bool: "a truth value"}
    name = "empty" if value is None else names.get(type(value), "a number")
    if not isinstance(value, str | int | float):
        return name
    long = isinstance(value, int) and abs(value) >= 10**30
    return f"{name} ({str(value)[:12]}...)" if long else f"{name} ({value!r})"


def field_at(model: type[BaseModel], location: Location) -> Any:
    """The annotation of the field at a location, or None. Keys of mappings and indices of lists may be anything."""
    annotation: Any = model
    for part in location:
        annotation = _step(annotation, part)
    return annotation


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation, as in `Model | None`; None if there is none."""
    for option in options_of(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def options_of(annotation: Any) -> list[Any]:
    """The members of a union, at any depth; an annotation that is no union is its only member."""
    if get_origin(annotation) in (Union, UnionType):
        return [option for argument in get_args(annotation) for option in options_of(argument)]
    if hasattr(annotation, "__metadata__"):
        return options_of(annotation.__origin__)
    return [annotation]


def _by_location(error: ValidationError) -> dict[Location, list[dict[str, Any]]]:
    """Errors by place, without those that only follow from an error further inside.

    Pydantic reports an error for every branch of a union, and of a sequence with wrong items also that it is too short.
    """
    found: dict[Location, list[dict[str, Any]]] = {}
    for detail in error.errors():
        location = tuple(part for part in detail["loc"] if not _is_tag(part))
        found.setdefault(location, []).append(dict(detail))
    return {
        location: details
        for location, details in found.items()
        if not (_may_follow(details[0]) and any(o[: len(location)] == location for o in found if o != location))
    }


def _may_follow(detail: dict[str, Any]) -> bool:
    return detail["type"] == "too_short" or any(map(_is_tag, detail["loc"]))


def _message(model: type[BaseModel], location: Location, details: list[dict[str, Any]]) -> str:
    kind, given = details[0]["type"], details[0].get("input")
    if kind == "extra_forbidden":
        holder = model_of(field_at(model, location[:-1]))
        return f"unknown key; {nearest(str(location[-1]), holder.model_fields if holder else [])}"
    if kind == "missing":
        return "is required"
    if kind == "too_short":
        return f"needs at least {details[0]['ctx']['min_length']}" if given else "is empty"
    if kind == "string_pattern_mismatch":
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", str(given)):
            return f"{reprlib.repr(given)} is too long"
        return f"{reprlib.repr(given)} should begin with a letter or digit and hold only letters, digits and . _ -"
    if kind == "value_error":
        return str(details[0]["ctx"]["error"])
    wanted = " or ".join(detail["msg"].removeprefix("Input should be ") for detail in details)
    for term, word in _WORDS.items():
        wanted = re.sub(term, word, wanted)
    return f"should be {wanted}, not {kind_of(given)}"


def _is_tag(part: str | int) -> bool:
    """Whether a part of pydantic's location names a branch of a union or a key, which the author did not write."""
    return isinstance(part, str) and (
        part.startswith(("literal[", "tuple[", "constrained", "function-")) or part in _TAGS
    )


_WORDS = {
    "a valid (array|tuple)": "a list",
    r"a valid dictionary( or instance of \w+)?": "a mapping",
    "an object": "a mapping",
    "a valid string": "text",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
}
"""Pydantic's terms for types, and those of YAML authors."""

_TAGS = {"int", "float", "str", "bool", "[key]"}


def _step(annotation: Any, part: str | int) -> Any:
    model = model_of(annotation)
    if model is not None and isinstance(part, str) and part in model.model_fields:
        return model.model_fields[part].annotation
    for option in options_of(annotation):
        arguments = get_args(option)
        if arguments:
            return arguments[1] if get_origin(option) is dict else arguments[0]
    return None
