"""Sentences in two languages whose translations are to be found: BUCC and Tatoeba, as XTREME's script writes them.

The English side of Tatoeba is sorted, so that its line i does not translate line i of the other side.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from stilts.data.sources.text import Report, read_lines, replace_column, to_table
from stilts.tasks.base import Task
from stilts.tasks.schema import RETRIEVAL

logger = logging.getLogger(__name__)


def read_bucc(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """Read `id TAB sentence` of the foreign and the English side and, if there is a third file, the gold pairs."""
    ids, texts, counts = [], [], []
    for path in paths[:2]:
        report = Report(path)
        lines = read_lines(path)
        seen: set[str] = set()
        for number, line in enumerate(lines, 1):
            name, tab, text = line.partition("\t")
            if not tab or not name:
                report.add(number, "expected an id, a tab and a sentence")
                continue
            if name in seen:
                report.add(number, f"the id {name[:40]!r} is there twice, so that gold pairs do not tell which it is")
            seen.add(name)
            report.blank(number, sentence=text)
            ids.append(name)
            texts.append(text)
        report.close()
        counts.append(len(lines))
    sides = ["foreign"] * counts[0] + ["en"] * counts[1]
    table = to_table(paths[0], {"side": sides, "id": ids, "text": texts, "gold": [[] for _ in ids]}, RETRIEVAL)
    return merge_pairs(table, paths[2], task) if len(paths) > 2 else table


def merge_pairs(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Add BUCC's gold pairs, which are lines of foreign id TAB English id. A pair that is repeated counts once."""
    report = Report(path)
    sides, ids = table["side"].to_pylist(), table["id"].to_pylist()
    known = {side: {name for s, name in zip(sides, ids, strict=True) if s == side} for side in ("foreign", "en")}
    gold: dict[str, list[str]] = {}
    repeated = 0
    for number, line in enumerate(read_lines(path), 1):
        foreign, _, english = line.partition("\t")
        if foreign not in known["foreign"] or english not in known["en"]:
            report.add(number, f"{line[:60]!r} is not a pair of ids of the two files, separated by a tab")
            continue
        if english in gold.setdefault(foreign, []):
            repeated += 1
        else:
            gold[foreign].append(english)
    report.close()
    if repeated:
        logger.warning("%s: %d gold pairs repeat a pair of an earlier line and are read once", path, repeated)
    return replace_column(
        table, "gold", [gold.get(n, []) if s == "foreign" else [] for s, n in zip(sides, ids, strict=True)]
    )


def read_tatoeba(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """Read one sentence a line of both sides, which have equally many. The id of a sentence is its line number from 0.

    Line i of one side is not the translation of line i of the other.
    """
    sides = [_sentences(path) for path in paths[:2]]
    report = Report(paths[1])
    report.same_count("lines", len(sides[1]), f"lines of {paths[0]}", len(sides[0]))
    report.close()
    columns = {
        "side": ["foreign"] * len(sides[0]) + ["en"] * len(sides[1]),
        "id": [str(i) for side in sides for i in range(len(side))],
        "text": sides[0] + sides[1],
        "gold": [[] for side in sides for _ in side],
    }
    return to_table(paths[0], columns, RETRIEVAL)


def _sentences(path: Path) -> list[str]:
    report = Report(path)
    lines = read_lines(path)
    for number, line in enumerate(lines, 1):
        report.blank(number, sentence=line)
    report.close()
    return lines


def merge_lines(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Add Tatoeba's gold: a file with the line number (from 0) of each English sentence's translation."""
    report = Report(path)
    lines = [line.strip() for line in read_lines(path)]
    foreign = table["side"].to_pylist().count("foreign")
    report.same_count("lines", len(lines), "English sentences", table.num_rows - foreign)
    for number, line in enumerate(lines, 1):
        if not (line.isascii() and line.isdigit() and int(line) < foreign):
            report.add(number, f"{line[:40]!r} is not a line number from 0 to {foreign - 1}")
    report.close()
    return replace_column(table, "gold", [[] for _ in range(foreign)] + [[str(int(line))] for line in lines])
