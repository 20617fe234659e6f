"""Catalog: finds the data of each task, split and language, and turns it into canonical Arrow files with a digest.

The first source that has the task is used: files given for the task (`data.tasks.NAME`), the generated corpus, XTREME's
folder, the task's data set on the hub. A file is read, checked and written once. An index by its state (`file_state`)
tells whether it changed since, and only then is it read again. Local folders laid out like a hub repository are read
each time. Hub data is identified by its pinned revision and downloaded by `materialise` alone.
"""

import contextlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from glob import glob
from pathlib import Path

import pyarrow as pa

from stilts.data.examples import add_gold, check_rows, estimated_tokens, is_labelled
from stilts.data.held_out import held_out
from stilts.data.sources import hub
from stilts.data.sources.files import get_format
from stilts.data.sources.layouts import LAYOUTS, parts
from stilts.data.sources.text import file_state
from stilts.data.tables import DIGEST_VERSION, digest_table, read_table, write_table
from stilts.errors import StiltsError
from stilts.experiment.data import DataDecl, TaskSource
from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT, DataRef
from stilts.os_errors import DiskFull, NotWritable, explained
from stilts.tasks.base import HubSource, Task, all_tasks, check_language, private_language

INDEX_VERSION = 5
"""Raised when a change of a reader alters the examples that it makes of the same file."""

RACY_SECONDS = 2.0
"""A file that was changed less than this many seconds ago is not indexed, because a second change within one tick of
the file system's clock could not be seen."""

TRANSLATED = "translated"
"""The split that holds training sets translated to other languages."""

CANDIDATES = "candidates"
"""The split that holds the candidates of a ranking task, in all languages together."""

EVERY = "mul"
"""The language of candidates: ISO 639's code for multiple languages."""

_HELD_OUT = "/held-out-"
"""Follows the identity of a training set in that of a part of it."""

ABSENT = "absent:"
"""Begins the identity of data whose size is declared by its task, but for which there is no source yet."""


class Catalog:
    """The data of one experiment.

    Everything it writes lies below `root`: `data/TASK/...arrow` (canonical tables), `data/index` (what was read),
    `data/generated-*` (the generated corpus). Files appear complete or not at all, so several processes may share it.
    Where the root cannot be written, `has` and `ref` read the sources and write nothing there; `materialise` raises.
    """

    def __init__(self, data: DataDecl, root: Path) -> None:
        self.data = data
        self.root = Path(root)
        self._unwritten: dict[str, StiltsError] = {}

    def has(self, task: Task, split: str, language: str) -> bool:
        """Whether the split exists in this language: its files exist, or the hub source declares it."""
        if not _is_language(task, split, language):
            return False
        if split == "dev" and self._held_out(task, split):
            split = "train"
        source = self._source(task, split)
        if isinstance(source, HubSource):
            return _hub_has(source.of(language), task, split, language)
        if source is None or not _names(task, source, language):
            return False
        return all(_holds(task, path, language) for path in _files(task, source, language))

    def ref(self, task: Task, split: str, language: str) -> DataRef:
        """Identity, size and whether there is gold; for files after reading, checking and writing them.

        Where nothing provides a task that no hub holds, its declared sizes: a plan can be made, `materialise` raises.

        Raises:
            StiltsError: no source, an unknown language, a file that is missing or empty.
            Problems: mistakes in a file, by line; training or dev data without gold.
        """
        if split not in (TRANSLATED, CANDIDATES):
            check_language(task, language)
        count = self._held_out(task, split)
        if count is None:
            return self._whole(task, split, language)
        return _part(self._whole(task, "train", language), split, count)

    def _held_out(self, task: Task, split: str) -> int | None:
        """Number of examples that are held out of the split, or that are this split; None if it is whole.

        Raises:
            StiltsError: the task has a dev set of its own.
        """
        count = self._declared.get(task.name, TaskSource()).held_out
        if count is None or split not in ("train", "dev"):
            return None
        if "dev" in task.splits or self._source(task, "dev") is not None:
            raise StiltsError(f"data.tasks.{task.name}.held_out: {task.name} has a dev set of its own; leave it out")
        return count

    def _whole(self, task: Task, split: str, language: str) -> DataRef:
        """As `ref`, of a split from which nothing is held out."""
        source = self._source(task, split)
        if source is None:
            return self._declared_ref(task, split, language)
        if isinstance(source, HubSource):
            return self._hub_ref(source.of(language), task, split, language)
        if not _names(task, source, language):
            raise StiltsError(
                f"{source[0]} has no {{lang}} in it, so it is English; there is no {language} for {task.name}"
            )
        files = _files(task, source, language)
        labels = self._labels(task, split, language)
        read = [*files, *_beside(task, files), *([labels] if labels else [])]
        index = self._index_path(task, split, language, read)
        known = self._indexed(index, (task.name, split, language))
        if known:
            return known
        pooled = split == CANDIDATES
        table = _read_candidates(task, source) if pooled else _read(task, split, language, files, labels)
        ref = self._write(table, task, split, language, str(files[0]))
        self._remember(index, ref, read)
        return ref

    def materialise(self, ref: DataRef) -> Path:
        """Return the path of the canonical Arrow file of a reference, which is written first if it does not exist.

        Raises:
            StiltsError: the source cannot be read, or no longer holds what the reference names.
        """
        path = self.root / ref.path
        if path.is_file():
            return path
        task = all_tasks()[ref.task]
        if ref.identity.startswith(ABSENT):
            raise StiltsError(self._no_source(task, ref.split))
        if _HELD_OUT in ref.identity:
            return self._materialise_part(ref, task, path)
        source = self._source(task, ref.split)
        if isinstance(source, HubSource) and ref.identity.startswith(hub.PREFIX):
            source = source.of(ref.language)
            if ref.identity == hub.identity(source, task, ref.split, ref.language):
                table = hub.load(source, task, ref.split, ref.language)
                check_rows(table, task, source.id)
                is_labelled(table, task, ref.split, source.id)
                write_table(table, path)
                return path
        self._check_unchanged(ref, task)
        if ref.path in self._unwritten:
            raise self._unwritten[ref.path]
        return path

    def _materialise_part(self, ref: DataRef, task: Task, path: Path) -> Path:
        self._check_unchanged(ref, task)
        whole = self._whole(task, "train", ref.language)
        train, dev = held_out(read_table(self.materialise(whole)), self._held_out(task, "dev") or 0, task.name)
        write_table(dev if ref.split == "dev" else train, path)
        return path

    def _check_unchanged(self, ref: DataRef, task: Task) -> None:
        whole = ref.split == "train" and _HELD_OUT not in ref.identity
        now = self._whole(task, "train", ref.language) if whole else self.ref(task, ref.split, ref.language)
        if now.identity != ref.identity:
            raise StiltsError(
                f"the {ref.split} data of {ref.task} ({ref.language}) changed since the plan was made; plan again"
            )

    def _source(self, task: Task, split: str) -> tuple[str, ...] | HubSource | None:
        """Return path patterns or a hub source; None if nothing provides the split."""
        declared = self._declared.get(task.name, TaskSource())
        paths = getattr(declared, split)
        if paths is not None:
            return (paths,) if isinstance(paths, str) else paths
        if declared.hub is not None:
            return _override(task, declared, split)
        if declared.lines is not None:
            raise StiltsError(f"data.tasks.{task.name}.lines needs data.tasks.{task.name}.hub: files are read whole")
        layout = LAYOUTS.get(task.folder or "")
        if layout is not None:
            for folder in self._folders:
                pattern = layout.files.get(split)
                if (folder / next(iter(layout.files.values())).split("/")[0]).is_dir():
                    return (str(folder / pattern),) if pattern else None
        if self.data.generate is None and task.hub is not None and split in task.hub.splits:
            return task.hub
        return None

    @cached_property
    def _declared(self) -> dict[str, TaskSource]:
        if self._generated is None:
            return self.data.tasks
        made = self._generated
        generated = {
            "mlm": TaskSource(train=str(made / "mlm" / "{lang}.txt")),
            "hellaswag": TaskSource(
                train=str(made / "hellaswag" / "hellaswag_train.jsonl"),
                dev=str(made / "hellaswag" / "hellaswag_val.jsonl"),
            ),
        }
        return generated | self.data.tasks

    @cached_property
    def _folders(self) -> list[Path]:
        given = [self._generated / "xtreme"] if self._generated else []
        if self.data.xtreme is not None:
            if not Path(self.data.xtreme).is_dir():
                raise StiltsError(f"data.xtreme: {self.data.xtreme} is not a folder")
            given.append(Path(self.data.xtreme))
        return given

    @cached_property
    def _label_folders(self) -> list[Path]:
        given = [self._generated / "labels"] if self._generated else []
        if self.data.labels is not None:
            if not Path(self.data.labels).is_dir():
                raise StiltsError(f"data.labels: {self.data.labels} is not a folder")
            given.append(Path(self.data.labels))
        return given

    @property
    def folders(self) -> list[str]:
        """Folders other than those of canonical tables, relative to the root: that of the generated corpus."""
        if self.data.generate is None:
            return []
        from stilts.data.sources import generated

        return [f"data/generated-{digest([generated.VERSION, self.data.generate.model_dump()])[:SHORT]}"]

    @cached_property
    def _generated(self) -> Path | None:
        """The folder of the generated corpus, which is written first if it does not exist."""
        if self.data.generate is None:
            return None
        from stilts.data.sources import generated

        (path,) = self.folders
        folder = self.root / path
        if folder.is_dir():
            return folder
        try:
            self._generate(folder)
        except (DiskFull, NotWritable):  # for a plan, the corpus is made where this process may write
            self._own = tempfile.TemporaryDirectory(prefix="stilts-generated-")
            generated.generate(self.data.generate, Path(self._own.name))
            return Path(self._own.name)
        return folder

    def _generate(self, folder: Path) -> None:
        from stilts.data.sources import generated

        assert self.data.generate is not None
        with explained("write", folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = folder.parent / f".generated-{uuid.uuid4().hex[:8]}"
            try:
                temporary.mkdir()
                generated.generate(self.data.generate, temporary)
                os.rename(temporary, folder)
            except OSError:
                if not folder.is_dir():  # else another process was first
                    raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def _labels(self, task: Task, split: str, language: str) -> Path | None:
        layout = LAYOUTS.get(task.folder or "")
        if split != "test" or layout is None or layout.labels is None:
            return None
        paths = [folder / layout.labels.replace("{lang}", language) for folder in self._label_folders]
        return next((path for path in paths if path.is_file()), None)

    def _declared_ref(self, task: Task, split: str, language: str) -> DataRef:
        """Declared sizes of data that only a person can provide, so that a plan can be made before it is there."""
        rows = task.rows(split, language)
        undeclared = rows is None and (task.sizes or task.origin)
        if task.hub is not None or task.name in self._declared or self._folders or undeclared:
            raise StiltsError(self._no_source(task, split))
        tokens = None if rows is None else round(rows * task.tokens_per_row)
        return DataRef(task.name, split, language, f"{ABSENT}{task.name}", rows, tokens)

    def _hub_ref(self, source: HubSource, task: Task, split: str, language: str) -> DataRef:
        if Path(source.id).is_dir():
            table = hub.load(source, task, split, language)
            return self._write(table, task, split, language, source.id)
        if not _hub_has(source, task, split, language):
            raise StiltsError(f"{source.id} has no {split} data of {task.name} in {language}")
        rows = source.lines or task.rows(split, language)
        tokens = None if rows is None else round(rows * task.tokens_per_row)
        return DataRef(task.name, split, language, hub.identity(source, task, split, language), rows, tokens)

    def _write(self, table: pa.Table, task: Task, split: str, language: str, where: str) -> DataRef:
        check_rows(table, task, where)
        labelled = is_labelled(table, task, split, where)
        identity = f"sha256:{digest_table(table)}"
        tokens = estimated_tokens(table, language)
        ref = DataRef(task.name, split, language, identity, table.num_rows, tokens, labelled)
        self._unwritten.pop(ref.path, None)
        try:
            if not (self.root / ref.path).is_file():
                write_table(table, self.root / ref.path)
        except (DiskFull, NotWritable) as error:
            self._unwritten[ref.path] = error
        return ref

    def _index_path(self, task: Task, split: str, language: str, files: Sequence[Path]) -> Path:
        state = [file_state(path) if path.is_file() else str(path) for path in files]
        reader = [task.name, task.version, task.files, task.labels]
        if task.origin is not None:
            spelled = sorted((str(value), index) for value, index in task.label_values.items())
            reader += [task.origin, task.family, dict(task.columns), spelled, task.parallel]
        name = digest([INDEX_VERSION, DIGEST_VERSION, reader, split, language, state])[:24]
        return self.root / "data" / "index" / f"{name}.json"

    def _indexed(self, index: Path, asked: tuple[str, str, str]) -> DataRef | None:
        try:
            ref = DataRef(**json.loads(index.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        if (ref.task, ref.split, ref.language) != asked:  # written by somebody else: its path may lead anywhere
            return None
        return ref if (self.root / ref.path).is_file() else None

    def _remember(self, index: Path, ref: DataRef, files: Sequence[Path]) -> None:
        if time.time() - max(path.stat().st_mtime for path in files if path.is_file()) < RACY_SECONDS:
            return
        temporary = index.with_name(f".{index.name}-{os.getpid()}")
        with contextlib.suppress(OSError):  # it only saves reading the source again
            try:
                index.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_text(json.dumps(vars(ref)))
                os.replace(temporary, index)
            finally:
                temporary.unlink(missing_ok=True)

    def ways(self, task: Task, split: str) -> str:
        """Return, for messages, how the data of a split can be given."""
        files = f"files as data.tasks.{task.name}.{split}"
        others = [source.id for source in task.hubs if split in source.splits]
        if others and task.hub is None:
            files += f", or a data set of the hub as data.tasks.{task.name}.hub: {' or '.join(others)}"
        if split in LAYOUTS[task.folder].files if task.folder else False:
            return f"XTREME's download folder as data.xtreme or {files}"
        return files

    def _no_source(self, task: Task, split: str) -> str:
        reason = ""
        if task.licence is not None:
            reason = f" ({task.licence})"
        elif task.hub is None and self.data.generate is None:
            reason = " (there is no usable copy on the hub)"
        elif task.hub is not None and split not in task.hub.splits:
            reason = f" (it has {', '.join(task.hub.splits)})"
        return f"no {split} data for task {task.name}{reason}; give {self.ways(task, split)}"


def _is_language(task: Task, split: str, language: str) -> bool:
    """Whether a task can have the language; any task may be translated to any language."""
    return split == TRANSLATED or language in task.all_languages or private_language(language)


def _hub_has(source: HubSource, task: Task, split: str, language: str) -> bool:
    there = split in source.splits and language not in source.without.get(split, ())
    return there and language in task.all_languages


def _files(task: Task, patterns: Sequence[str], language: str) -> list[Path]:
    """Every file that the patterns name in a language, in their order; of every language, those that are there."""
    if language == EVERY:
        return list(_by_language(task, patterns).values())
    return [file for pattern in patterns for path in parts(task, pattern, language) for file in _matching(path)]


def _matching(path: Path) -> list[Path]:
    """The files that a path with `*` stands for, by name; the path itself where there is none or it has no `*`."""
    if "*" not in str(path) or path.exists():
        return [path]
    found = sorted(map(Path, glob(str(path))), key=lambda file: (file.name, file))
    return found or [path]


def _beside(task: Task, files: Sequence[Path]) -> list[Path]:
    """Paths of the second files that the reader takes gold from, whether or not they exist."""
    beside = get_format(task).beside
    return [] if beside is None else [beside(path) for path in files]


def _holds(task: Task, path: Path, language: str) -> bool:
    """Whether a file is there and, where one file is of several languages, has some of this one."""
    languages = get_format(task).languages
    return path.is_file() and (languages is None or language == EVERY or language in languages(path))


def _by_language(task: Task, patterns: Sequence[str]) -> dict[str, Path]:
    """The files of the task's languages that are there; a pattern without `{lang}` stands for all of them.

    Raises:
        StiltsError: none is there.
    """
    (pattern,) = patterns
    if "{lang}" not in pattern:
        return {EVERY: Path(pattern)}
    files = {language: Path(pattern.replace("{lang}", language)) for language in task.languages}
    found = {language: path for language, path in files.items() if path.is_file()}
    if not found:
        raise StiltsError(f"{pattern}: no candidates of {task.name} there, in none of its languages")
    return found


def _names(task: Task, patterns: Sequence[str], language: str) -> bool:
    """Whether paths can be of this language: one without `{lang}` is English, if it does not hold every language."""
    several = language == EVERY or get_format(task).languages is not None
    return language == task.source_language or several or all("{lang}" in pattern for pattern in patterns)


def _override(task: Task, declared: TaskSource, split: str) -> HubSource | None:
    """Return the hub source that the experiment chooses; None if it lacks the split.

    It is one of the task's own, or has the columns of `Task.hub` in another data set or a local folder.

    Raises:
        StiltsError: the revision is missing, or a field of the declaration does not apply to the task.
    """
    where = f"data.tasks.{task.name}"
    known = {source.id: source for source in (task.hub, *task.hubs) if source is not None}
    source = known.get(str(declared.hub))
    if source is None and task.hub is None:
        own = f"; it can be read from {' or '.join(known)}" if known else ""
        raise StiltsError(f"{where}.hub: the task has no hub columns{own}; give files instead")
    if source is not None:
        source = replace(source, revision=declared.revision or source.revision)
    elif task.hub is not None:
        if not declared.revision and not Path(str(declared.hub)).is_dir():
            raise StiltsError(f"{where}.revision is missing: pin a commit of {declared.hub}, which fixes its content")
        source = task.hub.moved(str(declared.hub), declared.revision or "")
    assert source is not None
    if declared.lines is not None:
        if source.lines is None:
            raise StiltsError(f"{where}.lines: only raw text has it, and {source.id} is read whole")
        source = replace(source, lines=declared.lines)
    return source if split in source.splits else None


def _read(task: Task, split: str, language: str, files: Sequence[Path], labels: Path | None) -> pa.Table:
    form = get_format(task)
    table = form.reader(split)(files, task, language)
    return table if labels is None or form.merge is None else add_gold(table, task, files[0], labels, form.merge)


def _read_candidates(task: Task, patterns: Sequence[str]) -> pa.Table:
    form = get_format(task)
    if form.candidates is None:
        raise StiltsError(f"task {task.name} searches no candidates; take data.tasks.{task.name}.candidates away")
    return form.candidates(_by_language(task, patterns), task)


def _part(whole: DataRef, split: str, count: int) -> DataRef:
    """The part of a training set that is the train or dev split where some examples are held out.

    Raises:
        StiltsError: no training example would remain.
    """
    if whole.rows is not None and count >= whole.rows:
        raise StiltsError(
            f"data.tasks.{whole.task}.held_out: {count} leaves none of the {whole.rows} training examples; hold out "
            "fewer of them"
        )
    rows = None if whole.rows is None else count if split == "dev" else whole.rows - count
    tokens = None if whole.tokens is None or not whole.rows or not rows else round(whole.tokens * rows / whole.rows)
    identity = f"{whole.identity}{_HELD_OUT}{count}/{split}"
    return replace(whole, split=split, identity=identity, rows=rows, tokens=tokens)
