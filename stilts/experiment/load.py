"""Load an experiment or a search: YAML, overrides, environment -> validated; every mistake at once with its line."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from stilts.errors import Problems, StiltsError
from stilts.experiment.experiment import Experiment
from stilts.experiment.mistakes import InvalidExperiment, Location, kind_of
from stilts.experiment.search import Tuning
from stilts.experiment.secrets import NO_SECRETS, is_secret_name, redact, without_secrets

Declared = TypeVar("Declared", bound=Experiment)

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class _Loader(yaml.SafeLoader):
    """Safe YAML as people write it: `1e-5` is a number, `no` is Norwegian, a date is text."""


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads: quotes text that it would take for a number."""


_TAG = "tag:yaml.org,2002:"
_FLOAT = re.compile(
    r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.[0-9]+(?:[eE][-+]?[0-9]+)?)$"
)

_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (f"{_TAG}bool", f"{_TAG}timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))


@dataclass
class _Document:
    """Plain data with the place each value came from."""

    file: str
    places: dict[Location, str] = field(default_factory=dict)
    """`file:line` of each value."""
    overridden: set[Location] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def where(self, location: Location) -> str:
        prefixes = [location[:end] for end in range(len(location), -1, -1)]
        if any(prefix in self.overridden for prefix in prefixes):
            return "--set"
        return next((self.places[prefix] for prefix in prefixes if prefix in self.places), self.file)

    def mark(self, location: Location, line: int) -> None:
        """Note where a value stands (lines from 0)."""
        self.places[location] = f"{self.file}:{line + 1}"

    def forget(self, location: Location) -> None:
        """Drop what is known of a value and of all inside it."""
        self.places = {known: at for known, at in self.places.items() if known[: len(location)] != location}

    def problem(self, location: Location, message: str) -> None:
        path = ".".join(str(part) for part in location)
        self.problems.append(f"{self.where(location)}: {path + ': ' if path else ''}{message}")


def load_experiment(
    path: Path,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    patches: Sequence[Path] = (),
) -> Experiment:
    """The experiment declared in a YAML file.

    Args:
        patches: YAML files laid over it in order, as JSON Merge Patches (RFC 7396): mappings merge, other values
            replace, and an empty value removes the field.
        overrides: `a.b=c` settings; c is read as YAML.
        environment: replaces `${NAME}` and `${NAME:-default}` in strings, but for secrets; default: the process's own.

    Raises:
        Problems: every mistake in the file, each with file and line and the path of the field.
        StiltsError: the file cannot be read or is not YAML.
    """
    return _load(Experiment, path, overrides, environment, patches)


def load_tuning(
    path: Path,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    patches: Sequence[Path] = (),
) -> Tuning:
    """The search declared in a YAML file, laid over the experiment that it names; else as `load_experiment`."""
    base = _parse(path, _Document(str(path))).get("experiment")
    if not isinstance(base, str):
        return _load(Tuning, path, overrides, environment, patches)
    return _load(Tuning, path.parent / base, overrides, environment, [path, *patches])


def _load(
    kind: type[Declared],
    path: Path,
    overrides: Sequence[str],
    environment: Mapping[str, str] | None,
    patches: Sequence[Path],
) -> Declared:
    document = _Document(str(path))
    data = _parse(path, document)
    for patch in patches:
        over = _Document(str(patch))
        _merge(data, _parse(patch, over), (), document, over)
        document.problems += over.problems
    for override in overrides:
        _override(data, override, document)
    variables = os.environ if environment is None else environment
    data = _expand(data, (), document, variables)
    data, secrets = without_secrets(data, variables)
    for location, message in secrets:
        document.problem(location, message)
    try:
        experiment = kind(**data)
    except InvalidExperiment as error:
        for location, message in error.mistakes:
            document.problem(_as_written(location, document), message)
    if document.problems:
        raise Problems([redact(problem, variables) for problem in document.problems])
    return experiment


def resolved_yaml(experiment: Experiment) -> str:
    """The experiment with every default written out; `load_experiment` reads it back to an equal one."""
    return to_yaml(experiment.model_dump(mode="json"))


def to_yaml(data: dict[str, Any]) -> str:
    """Plain data as YAML that is read here as the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def read_resolved(text: str) -> Experiment | None:
    """The experiment that `resolved_yaml` wrote, of whatever version; None where this version cannot read it."""
    try:
        return Experiment(**yaml.load(text, Loader=_Loader))
    except (yaml.YAMLError, StiltsError, ValueError, TypeError):
        return None


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
        raise StiltsError(f"{path}: an experiment is a mapping (name:, seeds:, models: ...), this is {kind_of(data)}")
    return data


def _construct(node: yaml.Node, location: Location, document: _Document, parents: tuple[int, ...]) -> Any:
    document.mark(location, node.start_mark.line)
    if id(node) in parents:
        document.problem(location, "an alias refers to the node that holds it (a cycle)")
        return None
    parents = (*parents, id(node))
    if isinstance(node, yaml.MappingNode):
        data: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            name = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(key_node.value))
            here = (*location, name)
            if not isinstance(key_node, yaml.ScalarNode):
                document.problem(location, f"a key must be a plain word (line {key_node.start_mark.line + 1})")
            elif key_node.tag == f"{_TAG}merge":
                document.problem(location, "<< is not read here; write the fields out, or take an alias for all of it")
            elif name in data:
                document.mark(here, key_node.start_mark.line)
                document.problem(here, "given twice")
            else:
                data[name] = _construct(value_node, here, document, parents)
                document.mark(here, key_node.start_mark.line)
        return data
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*location, i), document, parents) for i, item in enumerate(node.value)]
    value = _scalar(node)
    if isinstance(value, str) and _CONTROL.search(value):
        document.problem(location, f"{value!r} holds a control character")
        return None
    if not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
        document.problem(location, f"{node.value} is no value for an experiment; text goes into quotes")
        return None
    return value


def _scalar(node: yaml.Node) -> Any:
    constructor = _Loader("")
    try:
        return constructor.construct_object(node)
    finally:
        constructor.dispose()


def _merge(
    data: dict[str, Any], patch: dict[str, Any], location: Location, document: _Document, over: _Document
) -> None:
    """Lay a patch over the data, in place; what it brings stands where it stands in the patch."""
    for key, value in patch.items():
        here = (*location, key)
        if isinstance(value, dict):
            if not isinstance(data.get(key), dict):
                document.forget(here)
                data[key] = {}
            _merge(data[key], value, here, document, over)
            document.places.setdefault(here, over.places[here])
            continue
        document.forget(here)
        if value is None:
            data.pop(key, None)
            continue
        data[key] = value
        document.places |= {known: at for known, at in over.places.items() if known[: len(here)] == here}


def _override(data: dict[str, Any], override: str, document: _Document) -> None:
    name, equals, text = override.partition("=")
    if not equals or not name:
        document.problems.append(f"--set {override}: write it as path.to.field=value")
        return
    location = tuple(name.split("."))
    here: Any = data
    for part in location[:-1]:
        if here.get(part) is None:
            here[part] = {}
        here = here[part]
        if isinstance(here, list):
            document.problems.append(f"--set {override}: {part} is a list; set all of it, or write it as a mapping")
            return
        if not isinstance(here, dict):
            document.problems.append(f"--set {override}: {part} has no fields")
            return
    document.overridden.add(location)
    try:
        node = yaml.compose(text, Loader=_Loader)
        here[location[-1]] = None if node is None else _construct(node, location, document, ())
    except yaml.YAMLError:
        document.problems.append(f"--set {override}: the value is not valid YAML")


def _expand(data: Any, location: Location, document: _Document, environment: Mapping[str, str]) -> Any:
    if isinstance(data, dict):
        return {key: _expand(value, (*location, key), document, environment) for key, value in data.items()}
    if isinstance(data, list):
        return [_expand(value, (*location, i), document, environment) for i, value in enumerate(data)]
    if not isinstance(data, str):
        return data

    def replace(match: re.Match[str]) -> str:
        name, default = match.groups()
        if is_secret_name(name):
            document.problem(location, f"{name} is secret by its name; {NO_SECRETS}")
            return ""
        value = environment.get(name) or default
        if value is None:
            document.problem(location, f"the environment variable {name} is not set; export it, or use --set")
            return ""
        return value

    return _VARIABLE.sub(replace, data)


def _as_written(location: Location, document: _Document) -> Location:
    """The place in the file: a list of stages stands there without the word `stages`."""
    if location[:1] == ("intermediates",) and location[2:3] == ("stages",) and location[:3] not in document.places:
        return (*location[:2], *location[3:])
    return location
