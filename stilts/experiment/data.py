"""DataDecl: where the examples of each task are read from. Paths may hold `{lang}`; nothing here bears identity."""

from typing import Annotated

from pydantic import Field

from stilts.experiment.recipe import Frozen, Positive

Paths = str | Annotated[tuple[str, ...], Field(min_length=1)]
"""One path, or several that are read one after the other."""


Revision = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")]
"""A commit of a hub repository, or a ref such as `refs/pr/7`; part of the hub cache's file names."""


class TaskSource(Frozen):
    """The source of one task: a hub id, or the data set's own files by split."""

    hub: str | None = None
    """Dataset id, or a local directory laid out like a hub repository; replaces the task's own."""
    revision: Revision | None = None
    train: Paths | None = None
    dev: Paths | None = None
    test: Paths | None = None
    translated: Paths | None = None
    """The training set translated to each language, in the same format; with `{lang}`."""
    candidates: Paths | None = None
    """What a ranking searches, in all languages together (XQuAD-R's `{lang}.json`, Mewsli-X's entities)."""


class Generate(Frozen):
    """The generated multilingual corpus of the quickstart (see `data/sources/generated`)."""

    languages: Positive = 3
    """Invented ones, beside English: `qaa`, `qab`, `qac` ..."""
    sentences: Positive = 8000
    """Lines of raw text a language; the tasks' sets are sized by it."""
    seed: Annotated[int, Field(ge=0)] = 0


class DataDecl(Frozen):
    """Sources in order of precedence: `tasks.NAME`, then `generate`, then the XTREME folder, then the task's hub id."""

    xtreme: str | None = None
    """Folder that XTREME's download script leaves behind."""
    labels: str | None = None
    """Gold of XTREME's unlabelled test files, laid out as evaluate.py's `--label_folder`."""
    generate: Generate | None = None
    tasks: dict[str, TaskSource] = Field(default_factory=dict)
