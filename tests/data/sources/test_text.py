"""Bad bytes are told by line; harmless ones are taken off."""

import time
from pathlib import Path

import pytest
from pydantic import BaseModel

from stilts.data.sources.squad import Squad
from stilts.data.sources.text import Report, read_json, read_jsonl, read_lines
from stilts.errors import Problems, StiltsError


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "f.tsv"
    path.write_bytes(data)
    return path


def test_crlf_and_byte_order_mark_come_off(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path, b"\xef\xbb\xbfa\tb\r\n\r\nc\r\n")) == ["a\tb", "", "c"]


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    text = "a\u2028b\x85c\x0bd\x1ce"
    assert read_lines(write(tmp_path, text.encode())) == [text]


def test_a_last_line_without_an_end_counts(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path, b"a\nb")) == ["a", "b"]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match=r"nowhere\.tsv does not exist"):
        read_lines(tmp_path / "nowhere.tsv")


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match="cannot be read: Is a directory"):
        read_lines(tmp_path)


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n \r\n"])
def test_an_empty_file(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(StiltsError, match=r"f\.tsv is empty"):
        read_lines(write(tmp_path, data))


def test_every_bad_byte_is_told_by_line(tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        read_lines(write(tmp_path, b"good\nca\xe9\n\0\ngood"))
    assert [m.split("f.tsv:")[1].split(";")[0] for m in caught.value.messages] == [
        "2: byte 0xe9 is not UTF-8",
        "3: a NUL byte",
    ]


def test_malformed_json_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match=r"f\.tsv:2: Invalid JSON"):
        read_json(write(tmp_path, b'{"a":\n oops}'), Squad)


def test_a_report_is_capped_and_counts_the_rest() -> None:
    report = Report(Path("f"))
    for line in range(1, 31):
        report.add(line, "wrong")
    with pytest.raises(Problems) as caught:
        report.close()
    assert len(caught.value.messages) == 21
    assert caught.value.messages[-1] == "f: and 10 more"


class Named(BaseModel):
    name: str
    inside: dict[str, int] = {}


def test_a_repeated_key_of_an_object_is_refused(tmp_path: Path) -> None:
    lines = [
        '{"name": "a", "inside": {"x": 1}}',
        '{"name": "a", "name": "b"}',
        '{"name": "a", "other": [{"x": 1, "y": 2, "x": 1}]}',
    ]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(lines))
    report = Report(path)
    assert [number for number, _ in read_jsonl(path, Named, report)] == [1]
    assert report.messages == [
        f"{path}:2: an object has the key 'name' more than once",
        f"{path}:3: an object has the key 'x' more than once",
    ]
    path.write_text(lines[1])
    with pytest.raises(Problems, match="an object has the key 'name' more than once"):
        read_json(path, Named)


def test_a_file_with_an_endless_line_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A file with holes takes no room on the disk; read whole, it would take 8 GB of memory."""
    path = tmp_path / "f.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "a"}\n{"text": "')
        file.truncate(8_000_000_000)
    begin = time.monotonic()
    with pytest.raises(StiltsError, match=r"f.jsonl, line 2: longer than 16 MB; write one example a line"):
        read_lines(path)
    assert time.monotonic() - begin < 10


def test_a_large_file_of_short_lines_is_read(tmp_path: Path) -> None:
    assert len(read_lines(write(tmp_path, b"0123456789abcdef\n" * 1_000_000))) == 1_000_000
