"""A benchmark that a user declares in a YAML file: its tasks, their languages, groups, and the name of the average."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from stilts.errors import Problems, StiltsError, nearest
from stilts.experiment.document import Document, parse_file
from stilts.experiment.mistakes import mistakes_of
from stilts.experiment.names import Language, Name, check_distinct, tuples
from stilts.experiment.recipe import Frozen

ENDINGS = (".yaml", ".yml")


class BenchmarkDecl(Frozen):
    """A benchmark of your own. Averages over languages and tasks are plain means, and only of complete sets."""

    name: Name
    """Name of the benchmark, and of the column with the mean over all of its tasks."""
    targets: Annotated[dict[str, Literal["all"] | tuple[Language, ...]], Field(min_length=1)]
    """The tasks with their languages, in the order of the tables. all: the languages of the task."""
    groups: dict[Name, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Groups of tasks. Each is a column with the mean of its tasks' main numbers."""

    @field_validator("targets", "groups", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        return tuples(value)

    @model_validator(mode="after")
    def _groups_have_targets(self) -> "BenchmarkDecl":
        for group, members in self.groups.items():
            check_distinct(members)
            unknown = next((member for member in members if member not in self.targets), None)
            if unknown is not None:
                raise ValueError(f"groups.{group}: {unknown!r} is not a target; {nearest(unknown, self.targets)}")
        for name in (self.name, *self.groups):
            if name in self.targets:
                raise ValueError(f"{name!r} is the name of a target and of an average; rename the average")
        for task, languages in self.targets.items():
            if not languages:
                raise ValueError(f"targets.{task}: no languages; list some, or write all")
        return self


def is_file(name: str) -> bool:
    """Whether the benchmark of an experiment is the path of a file, and not the name of a known one."""
    return name.endswith(ENDINGS)


def read_benchmark(path: str | os.PathLike[str]) -> BenchmarkDecl:
    """The benchmark that a YAML file declares.

    Raises:
        StiltsError: the file cannot be read, or is not YAML.
        Problems: mistakes in it, by line.
    """
    document = Document(os.fspath(path))
    data = parse_file(Path(path), document)
    try:
        found = BenchmarkDecl(**data)
    except ValidationError as error:
        for mistake in mistakes_of(BenchmarkDecl, error):
            document.problem(mistake.location, mistake.message)
    if document.problems:
        raise Problems(document.problems)
    return found


def benchmark_given(value: Any) -> Any:
    """The `benchmark` of an experiment, with a file that it names read.

    Raises:
        ValueError: the file cannot be read or has mistakes.
    """
    if not isinstance(value, str) or not is_file(value):
        return value
    try:
        return read_benchmark(value)
    except Problems as problems:
        raise ValueError("; ".join(problems.messages)) from None
    except StiltsError as error:
        raise ValueError(str(error)) from None
