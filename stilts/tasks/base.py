"""Task: one declaration a file in `tasks/library`, and the registry that finds them.

`get_task("xnli")` loads the library on first use. A duplicate name raises; an unknown one names the nearest.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from stilts.discovery import tracked
from stilts.errors import StiltsError, nearest
from stilts.tasks.benchmarks import languages_of
from stilts.tasks.metrics import check_metrics


@dataclass(frozen=True)
class HubSource:
    """Where a task's data lies on the Hugging Face hub.

    Attributes:
        id: dataset id, or a local directory laid out like a hub repository.
        revision: commit to read; pinned, so that it identifies the content.
        config: configuration name; `{lang}` is replaced by the language.
        splits: our split -> the hub's split (`+` joins several); `translated`: the training set by a machine.
        columns: our column -> the hub's column (what each family needs: see `tasks/families`).
        labels: the hub's label value -> index of ours, where they differ.
        files: parquet files inside the repository, `{config}` and `{split}` replaced, where the repository at this
            revision cannot be loaded by its name.
        names: our language code -> what `{lang}` stands for on the hub, where they differ.
        id_prefix: only rows whose id starts with it belong to the language, where a configuration mixes several.
        without: our split -> languages that lack it.
        unlike: language -> in what the data differs from the benchmark's, where it does so more than in form.
        others: language -> the source of that language, where another data set holds it. It may lack splits.
        lines: for raw text, whose rows are articles: the number of lines to read of each language, from its first
            article on. Only so much is downloaded. None for everything else.
    """

    id: str
    revision: str
    splits: Mapping[str, str]
    columns: Mapping[str, str]
    config: str | None = None
    labels: Mapping[Any, int] | None = None
    files: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    id_prefix: str | None = None
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unlike: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, "HubSource"] = field(default_factory=dict)
    lines: int | None = None

    def of(self, language: str) -> "HubSource":
        """The source of a language."""
        return self.others.get(language, self)

    def lacking(self, split: str) -> tuple[str, ...]:
        """Languages in which this data set itself has no split; one of `others` may have it."""
        return tuple(dict.fromkeys((*self.without.get(split, ()), *self.others)))

    def moved(self, id_: str, revision: str) -> "HubSource":
        """The same columns in another data set, which replaces this one but not the others."""
        without = {split: self.lacking(split) for split in self.splits}
        return replace(self, id=id_, revision=revision, without=without, others={})


@dataclass(frozen=True)
class Task:
    """What a task is: its data, family, head, metric and recipe.

    Attributes:
        name: unique; lower case, as in XTREME's folder names.
        version: raised when a change alters examples or features; part of the keys of stages and evaluations, so that
            the task is trained again.
        evaluation_version: raised when a change alters predictions or scores for the same weights; part of the keys of
            evaluations alone.
        family: name of its family, one of `tasks/families`.
        languages: the languages of its first benchmark, in the benchmark's order (`XTREME.languages[NAME]`);
            `("en",)` for English tasks.
        labels: classes in index order (classification, tagging, parsing, srl); empty for the other families, and where
            they are those of the training data (`data/labels.py`).
        metric: the metric of its main number, by name in `tasks/metrics` (`accuracy`, `f1`, `macro_f1`, `las`,
            `map@20` ...; `metric` is evaluate.py's name for the mean of exact match, or accuracy, and F1; `loss` where
            there are no predictions). A task whose metric cannot be computed cannot be made.
        metrics: every metric that an evaluation yields.
        train_on: task whose training data and head it uses (its own name where it trains itself); None where there
            is nothing to train (retrieval).
        recipe: the task's default recipe fields (see `Recipe`).
        settings: default evaluation settings (max_length, stride, layer, pooling ...).
        splits: splits that can be evaluated.
        hub: source on the hub.
        hubs: other data sets of the hub that hold the task, at pinned revisions; `data.tasks.NAME.hub` chooses one.
        folder: where it lies in XTREME's download folder, by name in `data/sources/layouts.py`; None if not there.
        files: format of its files, by name in `data/sources/files.py`.
        sizes: declared rows `{split: n}` or `{split: {language: n}}`, for planning before a download (retrieval:
            sentences of both sides).
        tokens_per_row: mean subword tokens of one example, for the cost model.
        head: name of its head, which tasks of one mixture share where they name the same; None: that of `train_on`.
        parts: tasks whose training data this one takes together, of the same family and labels; a stage selects on
            the dev set of the first. Empty where it has data of its own.
        licence: why its data cannot be downloaded, and in which form to give it; None where it can.
        parallel: whether test items of several languages that have the same id are translations of each other. Files
            without ids have row numbers for ids, so their translations must be in the same order. The bootstrap over
            test items resamples such items together.
        columns: our column -> the column of the task's files, where these are tables with a header.
        label_values: how the task's files spell a label -> its index.
        origin: of a task that is not the library's, the sha256 of the Python file that defines it, or `declared` for
            one that is declared in YAML. What such a task is made of is part of its keys (`definition`).
        answers: the kind of answers in which its metrics are looked up, where it is not its family's
            (`Family.scored_as`): `tag runs` for UD-POS, `pairs` for BUCC, `MLQA answers` for MLQA.
        choices: of a multiple choice task, how many choices each question has; None where that is open.
    """

    name: str
    version: int
    family: str
    languages: tuple[str, ...]
    metric: str
    metrics: tuple[str, ...]
    train_on: str | None
    labels: tuple[str, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    splits: tuple[str, ...] = ("dev", "test")
    hub: HubSource | None = None
    hubs: tuple[HubSource, ...] = ()
    folder: str | None = None
    files: str | None = None
    sizes: Mapping[str, int | Mapping[str, int]] = field(default_factory=dict)
    tokens_per_row: float = 40.0
    head: str | None = None
    parts: tuple[str, ...] = ()
    licence: str | None = None
    parallel: bool = False
    answers: str | None = None
    choices: int | None = None
    evaluation_version: int = 1
    columns: Mapping[str, str] = field(default_factory=dict)
    label_values: Mapping[Any, int] = field(default_factory=dict)
    origin: str | None = None

    @property
    def definition(self) -> dict[str, Any] | None:
        """What the key of a stage holds of a task beside its name, version, data and recipe; None for a task of the
        library, whose version stands for all of it."""
        if self.origin is None:
            return None
        return {"origin": self.origin, "family": self.family, "labels": list(self.labels), "head": self.head_name}

    @property
    def selecting_definition(self) -> dict[str, Any] | None:
        """As `definition`, of a stage whose weights a dev set selects."""
        own = {"metric": self.metric, "answers": self.answers, "settings": dict(self.settings)}
        return None if self.definition is None else {**self.definition, **own}

    @property
    def scored_definition(self) -> dict[str, Any] | None:
        """As `definition`, in the key of an evaluation, which has the settings beside it."""
        own = {"metrics": list(dict.fromkeys((self.metric, *self.metrics))), "answers": self.answers}
        return None if self.definition is None else {**self.definition, **own}

    @property
    def scored_version(self) -> int:
        """Version of the task's evaluations; it rises whenever one of the two versions does."""
        return self.version + self.evaluation_version - 1

    @property
    def all_languages(self) -> tuple[str, ...]:
        """Its languages in any benchmark: its own first, then those that other benchmarks add."""
        return tuple(dict.fromkeys((*self.languages, *languages_of(self.name))))

    @property
    def source_language(self) -> str:
        """The language of its training and dev sets if none is said: English. A task of a user's own without English
        trains on its first language."""
        return "en" if self.origin is None or "en" in self.all_languages else self.languages[0]

    @property
    def head_name(self) -> str:
        """Name of the head that it is trained and evaluated with."""
        return self.head or self.train_on or self.name

    @property
    def unanswerable(self) -> bool:
        """Whether questions may have no answer, so that a row without one has gold all the same (SQuAD 2.0)."""
        return "null_threshold" in self.settings

    @property
    def reads_labels(self) -> bool:
        """Whether its labels are those that occur in its training data."""
        return not self.labels and _families().get_family(self.family).label_column is not None

    @property
    def scored_as(self) -> tuple[str, ...]:
        """The kinds of answers in which its metrics are looked up; empty where it makes no predictions."""
        if self.answers is not None:
            return (self.answers,)
        return ("answers or none",) if self.unanswerable else _families().get_family(self.family).scored_as

    def __post_init__(self) -> None:
        families = _families().all_families()
        if self.family not in families:
            raise StiltsError(f"task {self.name}: no family {self.family!r}; {nearest(self.family, families)}")
        check_metrics(
            f"task {self.name}", self.scored_as, self.labels, self.metric, self.metrics, open_labels=self.reads_labels
        )

    def rows(self, split: str, language: str) -> int | None:
        """Declared number of examples, None where none is declared."""
        size = self.sizes.get(split)
        return size.get(language) if isinstance(size, Mapping) else size


def _families() -> Any:
    """The package of families, which is imported by name because families import this module."""
    return importlib.import_module("stilts.tasks.families")


def words(text: str) -> tuple[str, ...]:
    """A list of codes or labels written as one line: `words("de en es")`."""
    return tuple(text.split())


_TASKS: dict[str, Task] = tracked({})


def register(task: Task) -> Task:
    """Add a task to the registry.

    Raises:
        StiltsError: the name is taken.
    """
    if task.name in _TASKS:
        raise StiltsError(f"two tasks are called {task.name!r}; give the new one another name")
    _TASKS[task.name] = task
    return task


@cache
def _load_library() -> None:
    library = importlib.import_module("stilts.tasks.library")
    for module in pkgutil.iter_modules(library.__path__):
        try:
            importlib.import_module(f"stilts.tasks.library.{module.name}")
        except TypeError as error:  # a field that is misspelt or missing
            raise StiltsError(
                f"tasks/library/{module.name}.py: {error}; the fields of a task are in tasks/base.py"
            ) from error
    for task in _TASKS.values():
        check_union(task, _TASKS)


def check_union(task: Task, tasks: Mapping[str, Task]) -> None:
    """Pass where a task's parts are tasks with examples and labels like its own.

    Raises:
        StiltsError: a part is missing, is a union itself, or is of another kind.
    """
    for name in task.parts:
        part = tasks.get(name)
        if part is None:
            raise StiltsError(f"task {task.name}: no part {name!r}; {nearest(name, tasks)}")
        if part.parts or (part.family, part.labels) != (task.family, task.labels):
            raise StiltsError(
                f"task {task.name}: part {name} differs from it in family or labels, or is a union; "
                "parts= takes tasks of its own kind"
            )


def check_heads(tasks: Iterable[Task]) -> None:
    """Pass where tasks that train together and share a head agree on what it is.

    Raises:
        StiltsError: tasks would share a head, but not its family or labels.
    """
    first: dict[str, Task] = {}
    for task in tasks:
        other = first.setdefault(task.head_name, task)
        if (task.family, task.labels) != (other.family, other.labels):
            raise StiltsError(
                f"{task.name} would share the head {task.head_name!r} with {other.name}, which has another family or "
                "other labels; give it a head of its own (Task.head)"
            )


def all_tasks() -> dict[str, Task]:
    """Every task of the library by name."""
    _load_library()
    return dict(_TASKS)


def get_task(name: str) -> Task:
    """The task of this name.

    Raises:
        StiltsError: there is none; the message names the nearest.
    """
    _load_library()
    if name not in _TASKS:
        raise StiltsError(f"unknown task {name!r}; {nearest(name, _TASKS)}")
    return _TASKS[name]


def private_language(code: str) -> bool:
    """Whether a code is one of ISO 639-3's private-use codes qaa..qtz, allowed for any task (invented languages)."""
    return len(code) == 3 and code.isalpha() and code.islower() and "qaa" <= code <= "qtz"


def check_language(task: Task, language: str) -> None:
    """Pass for a language of the task or a private-use code.

    Raises:
        StiltsError: the task has no such language; the message names the nearest.
    """
    if language not in task.all_languages and not private_language(language):
        raise StiltsError(
            f"task {task.name} has no language {language!r}; {nearest(language, task.all_languages)} "
            "(invented languages take the private codes qaa to qtz)"
        )
