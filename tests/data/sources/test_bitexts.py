"""BUCC's and Tatoeba's files."""

from pathlib import Path

import pyarrow as pa
import pytest

from stilts.data.sources import layouts
from stilts.data.sources.bitexts import merge_lines, read_bucc, read_tatoeba
from stilts.errors import Problems
from stilts.tasks.base import get_task


def write(tmp_path: Path, text: str, name: str = "f.tsv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def tatoeba(tmp_path: Path) -> pa.Table:
    paths = [write(tmp_path, "Zebra\nAffe\n", "x.de"), write(tmp_path, "Ape\nZebra\n", "x.en")]
    return read_tatoeba(paths, get_task("tatoeba"), "de")


def test_tatoeba_gold_is_the_line_of_the_foreign_file(tmp_path: Path) -> None:
    merged = merge_lines(tatoeba(tmp_path), write(tmp_path, "1\n0\n", "gold"), get_task("tatoeba"))
    rows = merged.to_pylist()
    assert rows[2] == {"side": "en", "id": "0", "text": "Ape", "gold": ["1"]}
    assert [row["gold"] for row in rows[:2]] == [[], []]


def test_tatoeba_gold_out_of_range_is_told(tmp_path: Path) -> None:
    with pytest.raises(Problems, match="gold:2: '2' is not a line number from 0 to 1"):
        merge_lines(tatoeba(tmp_path), write(tmp_path, "1\n2\n", "gold"), get_task("tatoeba"))


def test_bucc_pairs_hang_on_the_foreign_side(tmp_path: Path) -> None:
    stem = str(tmp_path / "zh-en.dev")
    write(tmp_path, "zh-1\t一\nzh-2\t二\n", "zh-en.dev.zh")
    write(tmp_path, "en-1\tone\ten\nen-2\ttwo\n", "zh-en.dev.en")
    write(tmp_path, "zh-2\ten-2\n", "zh-en.dev.gold")
    paths = layouts.parts(get_task("bucc2018"), stem.replace("zh-en", "{lang}-en"), "zh")
    rows = read_bucc(paths, get_task("bucc2018"), "zh").to_pylist()
    assert [row["gold"] for row in rows] == [[], ["en-2"], [], []]
    assert rows[2]["text"] == "one\ten"


def test_bucc_gold_of_unknown_ids_is_told(tmp_path: Path) -> None:
    paths = [write(tmp_path, text, name) for text, name in (("zh-1\t一", "a"), ("en-1\tone", "b"), ("en-1\tzh-1", "g"))]
    with pytest.raises(Problems, match=r"g:1: .* is not a pair of ids"):
        read_bucc(paths, get_task("bucc2018"), "zh")


def test_buccs_ids_are_distinct(tmp_path: Path) -> None:
    paths = [tmp_path / "f.de", tmp_path / "f.en"]
    paths[0].write_text("de-1\ta\nde-1\tb\n")
    paths[1].write_text("en-1\tx\nen-2\ty\n")
    with pytest.raises(Problems, match=r"f\.de:2: the id 'de-1' is there twice"):
        read_bucc(paths, get_task("bucc2018"), "de")


def test_a_gold_pair_that_stands_twice_is_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    foreign = write(tmp_path, "de-1\teins\nde-2\tzwei\n", "x.de")
    english = write(tmp_path, "en-1\tone\nen-2\ttwo\n", "x.en")
    gold = write(tmp_path, "de-1\ten-2\nde-1\ten-1\nde-1\ten-2\n", "x.gold")
    table = read_bucc([foreign, english, gold], get_task("bucc2018"), "de")
    assert table["gold"].to_pylist()[0] == ["en-2", "en-1"]
    assert "x.gold: 1 gold pairs repeat a pair of an earlier line and are read once" in caplog.text
