"""Load an experiment: YAML, overrides, environment -> validated `Experiment`; every mistake at once with its line."""

import json
import os
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from stilts.errors import Problems, StiltsError, nearest
from stilts.spec.experiment import Experiment

Location = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `1e-5` is a number, as people write learning rates."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.[0-9]+(?:[eE][-+]?[0-9]+)?)$"
    ),
    list("-+0123456789."),
)


@dataclass
class _Document:
    """Plain data with the place each value came from."""

    file: str
    lines: dict[Location, int] = field(default_factory=dict)
    overridden: set[Location] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def where(self, location: Location) -> str:
        for end in range(len(location), -1, -1):
            if location[:end] in self.overridden:
                return "--set"
            if location[:end] in self.lines:
                return f"{self.file}:{self.lines[location[:end]]}"
        return self.file

    def problem(self, location: Location, message: str) -> None:
        path = ".".join(str(part) for part in location)
        self.problems.append(f"{self.where(location)}: {path + ': ' if path else ''}{message}")


def load_experiment(
    path: Path, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Experiment:
    """The experiment declared in a YAML file.

    Args:
        overrides: `a.b=c` settings; c is read as YAML.
        environment: replaces `${NAME}` and `${NAME:-default}` in strings; default: the process's own.

    Raises:
        Problems: every mistake in the file, each with file and line and the path of the field.
        StiltsError: the file cannot be read or is not YAML.
    """
    document = _Document(str(path))
    data = _parse(path, document)
    for override in overrides:
        _override(data, override, document)
    data = _expand(data, (), document, os.environ if environment is None else environment)
    try:
        experiment = Experiment.model_validate_json(json.dumps(data))
    except ValidationError as error:
        for detail in error.errors():
            _explain(dict(detail), document)
    except (TypeError, ValueError) as error:
        raise StiltsError(f"{path}: a value that YAML allows but an experiment does not: {error}") from None
    if document.problems:
        raise Problems(document.problems)
    return experiment


def resolved_yaml(experiment: Experiment) -> str:
    """The experiment with every default written out; `load_experiment` reads it back to an equal one."""
    return yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _parse(path: Path, document: _Document) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StiltsError(f"cannot read the experiment {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise StiltsError(f"{path}: not UTF-8 (byte {error.start})") from None
    try:
        node = yaml.compose(text, Loader=_Loader)
        data = None if node is None else _construct(node, (), document, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise StiltsError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise StiltsError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise StiltsError(f"{path}: an experiment is a mapping (name:, seeds:, models: ...), this is {_kind(data)}")
    return data


def _construct(node: yaml.Node, location: Location, document: _Document, parents: tuple[int, ...]) -> Any:
    document.lines[location] = node.start_mark.line + 1
    if id(node) in parents:
        document.problem(location, "an alias refers to the node that holds it (a cycle)")
        return None
    parents = (*parents, id(node))
    if isinstance(node, yaml.MappingNode):
        data: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node)
            if not isinstance(key, Hashable) or isinstance(key, tuple):
                document.problem(location, f"line {key_node.start_mark.line + 1}: a key must be a plain word")
                continue
            name = str(key_node.value)
            if name in data:
                document.lines[(*location, name)] = key_node.start_mark.line + 1
                document.problem((*location, name), "given twice")
                continue
            data[name] = _construct(value_node, (*location, name), document, parents)
            document.lines[(*location, name)] = key_node.start_mark.line + 1
        return data
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*location, i), document, parents) for i, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    constructor = _Loader("")
    try:
        return constructor.construct_object(node, deep=True)
    finally:
        constructor.dispose()


def _override(data: dict[str, Any], override: str, document: _Document) -> None:
    name, equals, text = override.partition("=")
    if not equals or not name:
        document.problems.append(f"--set {override}: write it as path.to.field=value")
        return
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        document.problems.append(f"--set {override}: the value is not valid YAML")
        return
    *parents, last = name.split(".")
    here: Any = data
    for part in parents:
        if here.get(part) is None:
            here[part] = {}
        here = here[part]
        if isinstance(here, list) and all(isinstance(item, str) for item in here):
            document.problems.append(f"--set {override}: {part} is a list; write it as a mapping to set fields of it")
            return
        if not isinstance(here, dict):
            document.problems.append(f"--set {override}: {part} has no fields")
            return
    here[last] = value
    document.overridden.add(tuple(name.split(".")))


def _expand(data: Any, location: Location, document: _Document, environment: Mapping[str, str]) -> Any:
    if isinstance(data, dict):
        return {key: _expand(value, (*location, key), document, environment) for key, value in data.items()}
    if isinstance(data, list):
        return [_expand(value, (*location, i), document, environment) for i, value in enumerate(data)]
    if not isinstance(data, str):
        return data

    def replace(match: re.Match[str]) -> str:
        name, default = match.groups()
        value = environment.get(name) or default
        if value is None:
            document.problem(location, f"the environment variable {name} is not set; export it, or use --set")
            return ""
        return value

    return _VARIABLE.sub(replace, data)


def _explain(detail: dict[str, Any], document: _Document) -> None:
    location: Location = tuple(part for part in detail["loc"] if not _is_tag(part))
    kind, given = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        valid = _fields_at(Experiment, location[:-1])
        message = f"unknown key; {nearest(str(location[-1]), valid)}"
    elif kind == "missing":
        message = "is required"
    elif kind == "value_error":
        message = str(detail["ctx"]["error"])
    else:
        message = f"{detail['msg'][0].lower()}{detail['msg'][1:]}, not {_kind(given)}"
    document.problem(location, message)


def _is_tag(part: str | int) -> bool:
    """Pydantic names the tried branch of a union in the location; people did not write it."""
    return isinstance(part, str) and (
        part.startswith(("literal[", "tuple[", "constrained", "function-")) or part in _TAGS
    )


_TAGS = {"int", "float", "str", "bool"}


def _fields_at(model: Any, location: Location) -> list[str]:
    """Names of the fields that may stand at a location of the experiment."""
    annotation: Any = model
    for part in location:
        annotation = _step(annotation, part)
    found = _model_of(annotation)
    return list(found.model_fields) if found else []


def _step(annotation: Any, part: str | int) -> Any:
    model = _model_of(annotation)
    if model is not None and isinstance(part, str) and part in model.model_fields:
        return model.model_fields[part].annotation
    for option in _options(annotation):
        arguments = get_args(option)
        if arguments:
            return arguments[1] if get_origin(option) is dict else arguments[0]
    return None


def _model_of(annotation: Any) -> type[BaseModel] | None:
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _options(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, UnionType):
        return [option for argument in get_args(annotation) for option in _options(argument)]
    if hasattr(annotation, "__metadata__"):
        return _options(annotation.__origin__)
    return [annotation]


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", type(None): "empty", bool: "a truth value"}
    name = names.get(type(value), "a number")
    return f"{name} ({value!r})" if isinstance(value, str | int | float) else name
