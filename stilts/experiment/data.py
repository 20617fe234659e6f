"""DataDecl: where the examples of each task are read from. Nothing here is part of a key."""

from typing import Annotated

from pydantic import Field

from stilts.experiment.recipe import Frozen, Seed

Paths = str | Annotated[tuple[str, ...], Field(min_length=1)]
"""One path, or several that are read one after the other. `{lang}` stands for the language code, `*` for any part of a
file's name: the files that match are read in the order of their names."""


Revision = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")]
"""A commit of a hub repository, or a ref such as `refs/pr/7`; part of the hub cache's file names."""


class TaskSource(Frozen):
    """The source of one task: a data set of the hub, or files by split. In paths, `{lang}` is the language code."""

    hub: str | None = None
    """Id of a data set on the hub, or a local folder laid out like a hub repository. It replaces the task's own."""
    revision: Revision | None = None
    """Commit of the hub data set, or a ref such as `refs/pr/7`."""
    lines: Annotated[int, Field(gt=0, le=10**12)] | None = None
    """Raw text from the hub: the number of lines to read of each language, from the beginning of the data set."""
    train: Paths | None = None
    """File of the training set, or several, in the task's own format."""
    dev: Paths | None = None
    """File of the dev set, or several."""
    test: Paths | None = None
    """File of the test set, or several."""
    translated: Paths | None = None
    """The training set translated to each language, in the same format. The path has `{lang}` in it."""
    held_out: Annotated[int, Field(gt=0, le=10**7)] | None = None
    """Number of training examples, drawn at random, that are the dev set instead, of a task that has no dev set. They
    are the same for all seeds; nothing trains on them."""
    candidates: Paths | None = None
    """Retrieval: the candidates of all languages (XQuAD-R's `{lang}.json`, Mewsli-X's entities)."""


class Generate(Frozen):
    """The generated multilingual corpus of the quickstart."""

    languages: Annotated[int, Field(gt=0, le=520)] = 3
    """Number of invented languages besides English: `qaa`, `qab`, `qac` ..."""
    sentences: Annotated[int, Field(gt=0, le=10**7)] = 8000
    """Lines of raw text per language. The sizes of the task data sets follow from it."""
    seed: Seed = 0
    """Seed of the generator."""


class DataDecl(Frozen):
    """Sources of data. The first that has a task is used: `tasks.NAME`, `generate`, `xtreme`, then the hub."""

    xtreme: str | None = None
    """Folder that XTREME's download script has written."""
    labels: str | None = None
    """Folder with the gold labels of XTREME's unlabelled test files, laid out as `--label_folder` of evaluate.py."""
    generate: Generate | None = None
    """Generate a small multilingual corpus instead of reading data."""
    tasks: dict[str, TaskSource] = Field(default_factory=dict)
    """Own source of a task, by the task's name."""
