"""Tasks that an experiment brings along: files of YAML declarations or of Python, and what a declaration may say.

A file is read when the experiment is loaded, and its text stays with the experiment: it is written to the store with
the resolved declaration and travels to the ranks with every job. So a rank on another node needs no copy of the file.
`stilts/tasks/own.py` makes tasks of these files.
"""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from stilts.errors import Problems, StiltsError
from stilts.experiment.data import Paths, Revision, TaskSource
from stilts.experiment.document import Document, parse_text
from stilts.experiment.mistakes import mistakes_of
from stilts.experiment.names import Language, Name, check_distinct, tuples
from stilts.experiment.recipe import Frozen
from stilts.experiment.regimes import RecipeFields

SUFFIXES = {".yaml", ".yml", ".py"}
LARGEST = 500_000
"""Largest file of tasks, in bytes."""
SPLITS = ("train", "dev", "test", "translated", "candidates")


class TaskFiles(Frozen):
    """Files of a task by split. Relative paths start at the folder of the file that declares the task."""

    train: Paths | None = None
    """File of the training set, or several. `{lang}` stands for the language code; a path without it is English."""
    dev: Paths | None = None
    """File of the dev set, or several."""
    test: Paths | None = None
    """File of the test set, or several."""
    translated: Paths | None = None
    """The training set translated to each language. The path has `{lang}` in it."""
    candidates: Paths | None = None
    """Retrieval: the candidates that are searched."""


class HubDecl(Frozen):
    """A data set on the Hugging Face hub."""

    id: str
    """Id of the data set, or a local folder laid out like a hub repository."""
    revision: Revision | None = None
    """Commit of the data set. It is required, except for a local folder."""
    config: str | None = None
    """Name of the configuration; `{lang}` stands for the language."""
    splits: dict[str, str] = Field(default_factory=lambda: {"train": "train", "dev": "validation", "test": "test"})
    """Name on the hub of each split: `train`, `dev`, `test`, `translated`. `+` joins several."""
    names: dict[Language, str] = Field(default_factory=dict)
    """What `{lang}` stands for on the hub, by language, where it is not the language code."""
    files: str | None = None
    """Parquet files inside the repository, with `{config}` and `{split}`, if the data set cannot be loaded by name."""
    id_prefix: str | None = None
    """Only rows whose id starts with this belong to the language; `{lang}` stands for the language."""
    without: dict[str, tuple[Language, ...]] = Field(default_factory=dict)
    """Languages that lack a split, by split."""

    @field_validator("splits", mode="after")
    @classmethod
    def _known_splits(cls, value: dict[str, str]) -> dict[str, str]:
        return _of_splits(value)

    @field_validator("without", mode="before")
    @classmethod
    def _tuples(cls, value: Any) -> Any:
        return tuples(value)

    @field_validator("without", mode="after")
    @classmethod
    def _known_without(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _of_splits(value)


def _of_splits(value: dict[str, Any]) -> dict[str, Any]:
    unknown = next((name for name in value if name not in SPLITS), None)
    if unknown is not None:
        raise ValueError(f"{unknown!r} is no split; valid: {', '.join(SPLITS)}")
    return value


class TaskDecl(Frozen):
    """A task of your own: what its examples are, where they lie, and how it is trained and scored."""

    family: str | None = None
    """Kind of task, such as `text_classification` or `tagging`; `stilts tasks list --families` shows all. Empty: that
    of `train_on`."""
    labels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The labels. Empty: those that occur in the training data, for families that can read them from it."""
    metric: str | None = None
    """The metric of the main number. Empty: the usual one of the family."""
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Further metrics, which are shown beside the main one."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("en",)
    """Languages in which the task is evaluated; codes of any standard, such as `de-ba` or `bar`."""
    files: TaskFiles | None = None
    """Files of the task. Give either `files` or `hub`, or the files in the experiment (`data.tasks.NAME`)."""
    format: str | None = None
    """Format of the files, such as `pairs`, `tags` or `squad`. Empty: the usual one of the family or, with `columns`,
    tables with a header."""
    hub: HubDecl | None = None
    """Data set on the hub that holds the task."""
    columns: dict[str, str] = Field(default_factory=dict)
    """The family's column -> the column of the hub's data set, or of files in TSV, CSV, JSON lines or Parquet. `a+b`
    reads two columns as a list, `a.b` the field b of column a."""
    label_values: dict[str, str | int] = Field(default_factory=dict)
    """How the data spells labels -> the label, or its number from 0; for data that writes `0` or `pos`."""
    train_on: str | None = None
    """Task whose training data and head this one uses. Empty: its own."""
    recipe: RecipeFields = RecipeFields()
    """Default fields of its recipe."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Default settings of its evaluation, such as `max_length`. Empty: the lengths of the recipe."""
    sizes: dict[str, int] = Field(default_factory=dict)
    """Number of examples by split, from which the plan estimates the cost of data that is not downloaded yet."""
    tokens_per_row: Annotated[float, Field(gt=0, le=2**20, strict=False)] = 40.0
    """Mean number of subword tokens of an example, for the plan's estimate."""
    parallel: bool = False
    """Whether test examples of several languages with the same id (or, without ids, the same row) are translations of
    each other."""
    head: Name | None = None
    """Name of its head. Tasks of one mixture that name the same head share it."""
    version: Annotated[int, Field(gt=0, le=10**6)] = 1
    """Raise it to train the task again although its declaration and its data are the same."""

    @field_validator("languages", mode="after")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_distinct(value)
        return value

    @model_validator(mode="after")
    def _one_source(self) -> "TaskDecl":
        if self.files is not None and self.hub is not None:
            raise ValueError("give either files or hub")
        if self.hub is not None and not self.columns:
            raise ValueError("columns is missing: name the data set's column of each column of the family")
        if self.hub is not None and self.hub.revision is None and not Path(self.hub.id).is_dir():
            raise ValueError(f"hub.revision is missing: pin a commit of {self.hub.id}, which fixes its content")
        if self.labels is not None:
            check_distinct(self.labels)
        return self


class TaskFile(Frozen):
    """A file of tasks with its content: YAML, or Python that calls `register(Task(...))`."""

    file: str
    """Path of the file."""
    text: Annotated[str, Field(max_length=LARGEST)]
    """Its content."""

    @property
    def is_python(self) -> bool:
        return self.file.endswith(".py")

    @field_validator("file", mode="after")
    @classmethod
    def _known_suffix(cls, value: str) -> str:
        if Path(value).suffix not in SUFFIXES:
            raise ValueError(f"{value}: a file of tasks ends with .yaml or .py")
        return value

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "TaskFile":
        """Read a file of tasks; a Python file is not executed.

        Raises:
            StiltsError: the file cannot be read, is too large, or is neither YAML nor Python.
        """
        file = Path(path)
        if file.suffix not in SUFFIXES:
            raise StiltsError(f"{file}: a file of tasks ends with .yaml or .py")
        try:
            data = file.read_bytes()
        except OSError as error:
            raise StiltsError(f"cannot read the tasks {file}: {error.strerror}") from None
        if len(data) > LARGEST:
            raise StiltsError(f"{file}: more than {LARGEST:,} bytes; a file of tasks is smaller")
        try:
            return cls(file=str(file), text=data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise StiltsError(f"{file}: not UTF-8 (byte {error.start}); save the file as UTF-8 text") from None

    def declarations(self) -> dict[str, TaskDecl]:
        """The tasks that a YAML file declares, by name; empty for Python.

        Raises:
            StiltsError: the text is not YAML.
            Problems: mistakes in it, by line.
        """
        if self.is_python:
            return {}
        document = Document(self.file)
        data = parse_text(self.text, document, "a file of tasks is a mapping (NAME: {family: ...})")
        found = {name: _declared(name, value, document) for name, value in data.items()}
        if document.problems:
            raise Problems(document.problems)
        return {name: decl for name, decl in found.items() if decl is not None}

    def sources(self) -> dict[str, TaskSource]:
        """The files of each task that has some. Relative paths are relative to the folder of this file."""
        folder = os.path.dirname(self.file)
        return {
            name: TaskSource(**{split: _beside(folder, getattr(decl.files, split)) for split in SPLITS})
            for name, decl in self.declarations().items()
            if decl.files is not None
        }


def _declared(name: str, value: Any, document: Document) -> TaskDecl | None:
    try:
        _Named(name=name)
        return TaskDecl(**tuples(value)) if isinstance(value, dict) else TaskDecl(**{"": value})
    except ValidationError as error:
        if not isinstance(value, dict):
            document.problem((name,), "a task is a mapping of its fields (family:, languages: ...)")
            return None
        for mistake in mistakes_of(TaskDecl, error):
            document.problem((name, *mistake.location), mistake.message)
        return None


class _Named(Frozen):
    name: Name


def _beside(folder: str, paths: Any) -> Any:
    if paths is None:
        return None
    if isinstance(paths, str):
        return os.path.normpath(os.path.join(folder, os.path.expanduser(paths)))
    return tuple(_beside(folder, path) for path in paths)


def read_files(value: Any) -> Any:
    """The files of tasks of an experiment: paths are read, and what holds a text already stays.

    Raises:
        ValueError: a file cannot be read.
    """
    if not isinstance(value, list | tuple):
        return value
    try:
        return tuple(TaskFile.read(item) if isinstance(item, str | os.PathLike) else item for item in value)
    except StiltsError as error:
        raise ValueError(str(error)) from None


def sources_of(files: tuple[TaskFile, ...]) -> dict[str, TaskSource]:
    """The files of all tasks of these files.

    Raises:
        ValueError: the files have mistakes, or two of them declare one task.
    """
    found: dict[str, TaskSource] = {}
    names: dict[str, str] = {}
    for file in files:
        try:
            declared = file.declarations()
        except Problems as problems:
            raise ValueError("; ".join(problems.messages)) from None
        except StiltsError as error:
            raise ValueError(str(error)) from None
        for name in declared:
            if name in names:
                raise ValueError(f"{names[name]} and {file.file} both declare the task {name!r}; rename one")
            names[name] = file.file
        found |= file.sources()
    return found
