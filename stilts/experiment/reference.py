"""Reference of an experiment's fields: types, defaults and descriptions, all taken from the models themselves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stilts.errors import StiltsError, nearest
from stilts.experiment.experiment import Experiment
from stilts.experiment.mistakes import model_of, options_of
from stilts.experiment.recipe import Recipe
from stilts.experiment.regimes import RecipeFields
from stilts.experiment.search import Tuning
from stilts.experiment.tasks import TaskDecl

TASK = "TASK"
"""Stands for a task's name in the paths of the fields of a file of tasks."""


@dataclass(frozen=True)
class FieldReference:
    """One field.

    Attributes:
        path: from the top of the file; NAME and N stand for a name and a position: `targets.NAME.languages`.
        type: in the words of YAML: `whole number > 0`, `linear | constant`, `list of text`.
        default: as YAML; None if the field is required.
    """

    path: str
    type: str
    default: str | None
    description: str

    @property
    def presence(self) -> str:
        """`required`, or the default."""
        return "required" if self.default is None else f"default: {self.default}"


@dataclass(frozen=True)
class ModelReference:
    """The fields of one mapping.

    Attributes:
        paths: every place where such a mapping stands, the first of which is used in the paths of the fields.
    """

    paths: list[str]
    description: str
    fields: list[FieldReference]


def models() -> list[ModelReference]:
    """Every mapping of an experiment, a search and a file of tasks, each once; those near the top of the file first."""
    tasks = "The fields of one task in a file of tasks (`tasks`), where TASK is its name."
    own = {name: Tuning.model_fields[name] for name in ("experiment", "search")}
    text = "The file of a search has these fields beside those of an experiment."
    tops = (
        (Experiment, "", _summary(Experiment), Experiment.model_fields),
        (Tuning, "", text, own),
        (TaskDecl, TASK, tasks, TaskDecl.model_fields),
    )
    found: dict[type[BaseModel], ModelReference] = {}
    for top, start, description, fields in tops:
        found[top] = ModelReference([start], description, [])
        queue = _add_fields(found[top], top, fields)
        while queue:
            model, path = queue.pop(0)
            if model in found:
                found[model].paths.append(path)
            else:
                found[model] = ModelReference([path], _summary(model), [])
                queue += _add_fields(found[model], model, model.model_fields)
    return list(found.values())


def _summary(model: type[BaseModel]) -> str:
    """The first paragraph of a model's docstring."""
    return " ".join((model.__doc__ or "").partition("\n\n")[0].split())


def _add_fields(
    reference: ModelReference, model: type[BaseModel], fields: Mapping[str, FieldInfo]
) -> list[tuple[type[BaseModel], str]]:
    """Add fields to a reference; returns the mappings inside them and their paths."""
    inside: list[tuple[type[BaseModel], str]] = []
    for name, field in fields.items():
        path = f"{reference.paths[0]}.{name}".removeprefix(".")
        reference.fields.append(_reference(model, name, field, path))
        inside += [(inner, f"{path}{suffix}") for inner, suffix in _inner_models(field.annotation)]
    return inside


def find(path: str) -> list[FieldReference]:
    """The field at a path and the fields inside it. Names and positions may stand for NAME and N.

    Raises:
        StiltsError: there is no such field; the message names the nearest.
    """
    parts = path.split(".")
    fields = [*_walk(Tuning, ""), *_walk(TaskDecl, TASK)]
    found = [field for field in fields if _matches(field.path.split("."), parts)]
    if found:
        return found
    places = [field.path.split(".") for field in fields]
    depth = next(n for n in range(len(parts) - 1, -1, -1) if any(_matches(place, parts[:n]) for place in places))
    names = {place[depth] for place in places if len(place) > depth and _matches(place, parts[:depth])}
    where = f" in {'.'.join(parts[:depth])}" if depth else ""
    hint = nearest(parts[depth], names) if names else "it has no fields"
    raise StiltsError(f"no field {parts[depth]!r}{where}; {hint}")


def _matches(place: list[str], parts: list[str]) -> bool:
    """Whether a field is the one that was asked for, or inside it."""
    if len(place) < len(parts):
        return False
    return all(a == b or a in ("NAME", "N") for a, b in zip(place, parts, strict=False))


def _walk(model: type[BaseModel], path: str) -> Iterator[FieldReference]:
    """Every field below a path, parents first."""
    for name, field in model.model_fields.items():
        below = f"{path}.{name}" if path else name
        yield _reference(model, name, field, below)
        for inner, suffix in _inner_models(field.annotation):
            yield from _walk(inner, f"{below}{suffix}")


def _reference(model: type[BaseModel], name: str, field: FieldInfo, path: str) -> FieldReference:
    return FieldReference(
        path, _type_of(field), _default_of(model, name, field), " ".join((field.description or "").split())
    )


def _default_of(model: type[BaseModel], name: str, field: FieldInfo) -> str | None:
    if model is RecipeFields:
        return f"the task's own, else {_yaml(Recipe.model_fields[name].default)}"
    if field.is_required():
        return None
    return _yaml(field.get_default(call_default_factory=True))


def _yaml(value: Any) -> str:
    if value is None or (isinstance(value, BaseModel) and not value.model_fields_set):
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, dict):
        return "empty" if not value else str(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _inner_models(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """Models in an annotation, and what stands between its path and theirs: nothing, `.NAME` or `.N`."""
    for option in options_of(annotation):
        arguments = get_args(option)
        if get_origin(option) is dict:
            yield from ((model, f".NAME{suffix}") for model, suffix in _inner_models(arguments[1]))
        elif get_origin(option) is tuple:
            yield from ((model, f".N{suffix}") for model, suffix in _inner_models(arguments[0]))
        elif (model := model_of(option)) is not None:
            yield model, ""


_NAMES = {int: "whole number", float: "number", str: "text", bool: "true | false", Any: "anything"}
_BOUNDS = {annotated_types.Gt: ("gt", ">"), annotated_types.Ge: ("ge", ">="), annotated_types.Lt: ("lt", "<"),
           annotated_types.Le: ("le", "<=")}  # fmt: skip


def _type_of(field: FieldInfo) -> str:
    return f"{_type(field.annotation)}{_bounds(field.metadata)}"


def _type(annotation: Any) -> str:
    if hasattr(annotation, "__metadata__"):
        metadata = [item for m in annotation.__metadata__ for item in (getattr(m, "metadata", None) or [m])]
        return f"{_type(annotation.__origin__)}{_bounds(metadata)}"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin is dict:
        inner = _type(arguments[1])
        return f"mapping of names to {inner}" if inner != "anything" else "mapping"
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if model_of(annotation) is not None and isinstance(annotation, type):
        return "mapping"
    if arguments:
        return " | ".join(dict.fromkeys(_type(option) for option in arguments if option is not NoneType))
    return _NAMES.get(annotation, "anything")


_ABSURD = 1e6


def _bounds(metadata: Any) -> str:
    """` > 0 and < 1`. Bounds that only keep absurd numbers out are left out."""
    bounds = [(getattr(m, _BOUNDS[type(m)][0]), _BOUNDS[type(m)][1]) for m in metadata if type(m) in _BOUNDS]
    return " and".join(f" {sign} {bound:g}" for bound, sign in bounds if abs(bound) < _ABSURD)
