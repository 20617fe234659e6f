"""What the tests of readers share: a small file, and the messages about it without its path."""

from pathlib import Path

import pytest

from stilts.errors import Problems


def write(tmp_path: Path, text: str, name: str = "f.tsv") -> Path:
    """Write a file exactly as given, line ends included."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def messages(error: pytest.ExceptionInfo[Problems]) -> list[str]:
    """Return the messages of an error about `f.tsv`, from the line number on."""
    return [message.split("f.tsv:")[-1] for message in error.value.messages]
