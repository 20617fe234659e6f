"""Load an experiment or a search: YAML, overrides, environment -> validated; every mistake at once with its line."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from stilts.errors import Problems, StiltsError
from stilts.experiment.benchmarks import is_file
from stilts.experiment.document import Document, Dumper, merge, override, parse_file, parse_value
from stilts.experiment.experiment import Experiment
from stilts.experiment.mistakes import InvalidExperiment, Location
from stilts.experiment.search import Tuning
from stilts.experiment.secrets import NO_SECRETS, is_secret_name, redact, without_secrets

Declared = TypeVar("Declared", bound=Experiment)

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


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
    base = parse_file(path, Document(str(path))).get("experiment")
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
    document = Document(str(path))
    data = parse_file(path, document)
    for patch in patches:
        over = Document(str(patch))
        merge(data, parse_file(patch, over), (), document, over)
        document.problems += over.problems
    for setting in overrides:
        override(data, setting, document)
    variables = os.environ if environment is None else environment
    data = _expand(data, (), document, variables)
    _place_files(data, document)
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


def _place_files(data: dict[str, Any], document: Document) -> None:
    """Make paths of `tasks` and `benchmark` relative to the file that names them; `--set` gives them as they are."""

    def placed(path: Any, *location: str | int) -> Any:
        file, line, _ = document.where(location).rpartition(":")
        if not isinstance(path, str) or not line:
            return path
        return os.path.normpath(os.path.join(os.path.dirname(file), os.path.expanduser(path)))

    if isinstance(data.get("tasks"), list):
        data["tasks"] = [placed(path, "tasks", number) for number, path in enumerate(data["tasks"])]
    if isinstance(data.get("benchmark"), str) and is_file(data["benchmark"]):
        data["benchmark"] = placed(data["benchmark"], "benchmark")


def resolved_yaml(experiment: Experiment) -> str:
    """The experiment with every default written out; `load_experiment` reads it back to an equal one."""
    return to_yaml(experiment.model_dump(mode="json"))


def to_yaml(data: dict[str, Any]) -> str:
    """Plain data as YAML that is read here as the same data."""
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def read_resolved(text: str) -> Experiment | None:
    """The experiment that `resolved_yaml` wrote, of whatever version; None where this version cannot read it."""
    document = Document("")
    try:
        data = parse_value(text, (), document)
        return None if document.problems else Experiment(**data)
    except (StiltsError, ValueError, TypeError):
        return None


def _expand(data: Any, location: Location, document: Document, environment: Mapping[str, str]) -> Any:
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


def _as_written(location: Location, document: Document) -> Location:
    """The place in the file: a list of stages stands there without the word `stages`."""
    if location[:1] == ("intermediates",) and location[2:3] == ("stages",) and location[:3] not in document.places:
        return (*location[:2], *location[3:])
    return location
