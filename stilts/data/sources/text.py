"""Text files, read so that a mistake names its file and line, and all mistakes of one file are told at once.

CRLF line ends and a byte order mark are taken off. Only line feeds end a line: U+2028 and the like stay in the text.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.errors import Problems, StiltsError

MOST = 20


class Report:
    """The mistakes found in one file, in order; `close` raises them together."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.messages: list[str] = []
        self.count = 0

    def add(self, line: int, message: str) -> None:
        """Note a mistake; `line` counts from 1."""
        self.count += 1
        if self.count <= MOST:
            self.messages.append(f"{self.path}:{line}: {message}")

    def close(self) -> None:
        """Raise what was noted, if anything.

        Raises:
            Problems: at most MOST messages and how many more there are.
        """
        if self.count > MOST:
            self.messages.append(f"{self.path}: and {self.count - MOST} more")
        if self.messages:
            raise Problems(self.messages)


def read_text(path: Path) -> str:
    """A UTF-8 file without its byte order mark, lines ended by `\\n` alone.

    Raises:
        StiltsError: missing, unreadable or empty.
        Problems: bytes that are not UTF-8, or NUL bytes, by line.
    """
    data = _read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise StiltsError(f"{path} is empty; download or write it again")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is None or "\0" in text:
        _report_bytes(path, data)
        raise StiltsError(f"{path} is not UTF-8")
    return text.replace("\r\n", "\n")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without line ends; the end of the last line makes no empty line. Raises as read_text."""
    lines = read_text(path).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_json(path: Path) -> tuple[Any, str]:
    """A JSON file, and its text to find lines in.

    Raises:
        StiltsError: missing, empty, or not JSON, naming the line.
    """
    text = read_text(path)
    try:
        return json.loads(text), text
    except json.JSONDecodeError as error:
        raise StiltsError(f"{path}:{error.lineno}: not JSON ({error.msg}, column {error.colno})") from None


def read_jsonl(path: Path, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) for every line that is not blank; other lines go to the report."""
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            report.add(number, f"not JSON ({error.msg}, column {error.colno})")
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            report.add(number, f"expected a JSON object, found {type(row).__name__}")


def to_table(path: Path, columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """Canonical columns as a table.

    Raises:
        StiltsError: a value is not of the schema's type, or text that UTF-8 cannot hold (a lone surrogate escape).
    """
    try:
        return pa.table(columns, schema=schema)
    except UnicodeEncodeError as error:
        raise StiltsError(f"{path}: text with half a surrogate pair, {error.object[:40]!r}; mend the escape") from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise StiltsError(f"{path}: a value of the wrong type: {error}") from None


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise StiltsError(f"{path} does not exist; check the path in `data`") from None
    except OSError as error:
        raise StiltsError(f"{path} cannot be read: {error.strerror}") from None


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
