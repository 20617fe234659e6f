"""Reading of text files. Mistakes are reported with file and line, all mistakes of a file together.

CRLF line ends and a byte order mark are removed. Only line feeds end a line: U+2028 and the like stay in the text.
"""

import functools
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ValidationError

from stilts.errors import Problems, StiltsError
from stilts.tasks.base import Task
from stilts.tasks.families import get_family

logger = logging.getLogger(__name__)

MOST = 20
"""Most mistakes that are listed for one file; the others are counted."""

Shape = TypeVar("Shape", bound=BaseModel)

ReadOne = Callable[[Path, Task, str], pa.Table]
ReadAll = Callable[[Sequence[Path], Task, str], pa.Table]


def each_file(read: ReadOne) -> ReadAll:
    """Make a reader of several files from a reader of one. The mistakes in all files are raised together.

    If there are several files, the number of the file is put before each id. Ids of families with `keeps_ids`, such as
    those of questions, are not changed, because predictions refer to them.
    """

    @functools.wraps(read)
    def read_all(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
        tables, messages = [], []
        for path in paths:
            try:
                tables.append(read(path, task, language))
            except Problems as problems:
                messages += problems.messages
        if messages:
            raise Problems(messages)
        if len(tables) > 1 and not get_family(task.family).keeps_ids:
            tables = [_numbered(table, number) for number, table in enumerate(tables, 1)]
        return pa.concat_tables(tables)

    return read_all


def _numbered(table: pa.Table, number: int) -> pa.Table:
    return replace_column(table, "id", [f"{number}-{name}" for name in table["id"].to_pylist()])


class Report:
    """Collects the mistakes in one file; `close` raises them together."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.messages: list[str] = []
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether further mistakes are only counted."""
        return self.count >= MOST

    def add(self, line: int, message: str) -> None:
        """Add a mistake; `line` counts from 1."""
        if not self.full:
            self.messages.append(f"{self.path}:{line}: {message}")
        self.count += 1

    def blank(self, line: int, **texts: str | None) -> bool:
        """Report the texts of a row that are only white space. Return whether there are any."""
        empty = [name for name, text in texts.items() if not (text or "").strip()]
        for name in empty:
            self.add(line, f"{name} is empty")
        return bool(empty)

    def same_count(self, what: str, count: int, other: str, wanted: int) -> None:
        """Report that a file of gold labels has another length than the file that it belongs to."""
        if count != wanted:
            self.add(
                min(count, wanted) + 1, f"{count} {what} for {wanted} {other}; the two files do not belong together"
            )

    def close(self) -> None:
        """Raise the collected mistakes, if there are any.

        Raises:
            Problems: at most MOST messages and how many more there are.
        """
        if self.count > MOST:
            self.messages.append(f"{self.path}: and {self.count - MOST} more")
        if self.messages:
            raise Problems(self.messages)


def tell_left_out(path: Path, count: int, total: int, why: str) -> None:
    """Log how many rows of a file are left out because they are damaged in the published file.

    Raises:
        StiltsError: more than half of the rows are left out.
    """
    if 2 * count > total:
        raise StiltsError(f"{path}: {count} of {total} rows are left out, they have {why}; is it the right file?")
    if count:
        logger.warning("%s: %d of %d rows are left out: they have %s", path, count, total, why)


def file_state(path: Path) -> tuple[str, int, int, int, int]:
    """Return a fingerprint of a file without reading it: at least one value changes when its content changes.

    They are its path, inode and size, and the times of the last change of its content and of its inode. Programs can
    set the time of the content back (`cp -p`, `rsync -t`), but not that of the inode.
    """
    state = path.stat()
    return str(path.resolve()), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


WITHHELD = "words that are withheld (_): the text's licence asks you to put them in with the treebank's own script"


def is_withheld(tokens: Sequence[str]) -> bool:
    """Whether all words of a sentence are `_`, as in treebanks whose licence forbids to publish the words."""
    return len(tokens) > 1 and set(tokens) == {"_"}


def read_text(path: Path) -> str:
    """Read a UTF-8 file. A byte order mark is removed, and line ends become `\\n`.

    Raises:
        StiltsError: missing, unreadable or empty.
        Problems: bytes that are not UTF-8, or NUL bytes, by line.
    """
    data = _read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise StiltsError(f"{path} is empty; download or write it again")
    packed = next((name for start, name in _PACKED.items() if data.startswith(start)), None)
    if packed is not None:
        raise StiltsError(f"{path} is packed with {packed}; unpack it, and give the path of the file inside")
    other = next((name for start, name in _NO_TEXT.items() if data.startswith(start)), None)
    if other is not None:
        raise StiltsError(f"{path} is {other}; this format is read from text in UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is None or "\0" in text:
        _report_bytes(path, data)
        raise StiltsError(f"{path} is not UTF-8")
    text = text.replace("\r\n", "\n")
    if "\r" in text and "\n" not in text:
        raise StiltsError(f"{path}: its lines end with a carriage return alone; save it with line feeds (\\n)")
    return text


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file without line ends. Raises the errors of `read_text`.

    Raises:
        StiltsError: a line is longer than `LONGEST_LINE`. The file is not read to its end then.
    """
    _check_lines(path)
    lines = read_text(path).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_json(path: Path, shape: type[Shape]) -> tuple[Shape, str]:
    """Read a JSON file of a declared shape. Return the object, and the text of the file for finding line numbers.

    Raises:
        StiltsError: missing or empty.
        Problems: not JSON (by line), of another shape (by place inside the document), or with a repeated key.
    """
    text = read_text(path)
    report = Report(path)
    document = _parse(text, shape, 1, report)
    report.close()
    if document is None:
        raise StiltsError(f"{path} is not of the expected shape")
    return document, text


def read_jsonl(path: Path, shape: type[Shape], report: Report) -> Iterator[tuple[int, Shape]]:
    """Yield (line number, object) of each line. Blank lines are skipped. Lines of another shape or with a repeated key
    are reported."""
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            row = _parse(line, shape, number, report)
            if row is not None:
                yield number, row


def _parse(text: str, shape: type[Shape], line: int, report: Report) -> Shape | None:
    try:
        row = shape.model_validate_json(text, strict=True)
    except ValidationError as error:
        for mistake in error.errors(include_url=False, include_input=False):
            place = ".".join(str(step) for step in mistake["loc"])
            at = re.search(r"at line (\d+) column", mistake["msg"])
            number = line + int(at.group(1)) - 1 if at else line
            report.add(number, f"{place}: {mistake['msg']}" if place else mistake["msg"])
        return None
    repeated = _repeated_keys(text)
    for key in repeated:
        report.add(line, f"an object has the key {key[:40]!r} more than once")
    return None if repeated else row


def _repeated_keys(text: str) -> list[str]:
    """Return the keys that an object in valid JSON has more than once. A parser keeps one of their values silently."""
    found: dict[str, None] = {}

    def look(pairs: list[tuple[str, Any]]) -> None:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            found.update(dict.fromkeys(key for key in keys if keys.count(key) > 1))

    json.loads(text, object_pairs_hook=look)
    return list(found)


def to_table(path: Path, columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """Make a table of canonical columns.

    Raises:
        StiltsError: a value is not of the schema's type, or text that UTF-8 cannot hold (a lone surrogate escape).
    """
    try:
        return pa.table(columns, schema=schema)
    except UnicodeEncodeError as error:
        raise StiltsError(f"{path}: text with half a surrogate pair, {error.object[:40]!r}; mend the escape") from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise StiltsError(f"{path}: a value of the wrong type: {error}") from None


def replace_column(table: pa.Table, column: str, values: list[Any]) -> pa.Table:
    """Return a table with other values in one of its columns."""
    index = table.schema.get_field_index(column)
    field = table.schema.field(index)
    return table.set_column(index, field, pa.array(values, field.type))


LONGEST_LINE = 16_000_000
"""Bytes. A longer line of a file with one example, sentence or token a line is a mistake."""
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd"}
"""The first bytes of compressed files."""
_NO_TEXT = {
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF-": "a PDF file",
    b"\x89HDF": "an HDF5 file",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\xff\xfe": "UTF-16 (or UTF-32)",
    b"\xfe\xff": "UTF-16",
}
"""The first bytes of files that hold no text in UTF-8."""


def _read_bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise StiltsError(f"{path} is a pipe or a device; data is read more than once, so write it to a file")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise StiltsError(f"{path} does not exist; check the path in `data`") from None
    except OSError as error:
        raise StiltsError(f"{path} cannot be read: {error.strerror}") from None


def _check_lines(path: Path) -> None:
    """Refuse a file with a line of more than LONGEST_LINE bytes before it fills the memory."""
    try:
        if not path.is_file() or path.stat().st_size <= LONGEST_LINE:
            return
        with path.open("rb") as file:
            if file.peek(8).startswith((*_PACKED, *_NO_TEXT)):
                return  # no text at all, which is what its reader says
            number = 1
            while line := file.readline(LONGEST_LINE + 1):
                if len(line) > LONGEST_LINE:
                    raise StiltsError(
                        f"{path}, line {number}: longer than {LONGEST_LINE / 1e6:.0f} MB; write one example a line"
                    )
                number += 1
    except OSError:
        return  # its reader says why


def _report_bytes(path: Path, data: bytes) -> None:
    report = Report(path)
    for number, line in enumerate(data.split(b"\n"), 1):
        if b"\0" in line:
            report.add(number, "a NUL byte; the file is damaged or not UTF-8 text (save it as UTF-8)")
            continue
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            report.add(number, f"byte 0x{line[error.start]:02x} is not UTF-8; save the file as UTF-8")
    report.close()
