"""Rankings in BEIR's layout (Thakur et al. 2021, arXiv:2104.08663).

The file of a split is a table `query-id TAB corpus-id TAB score` with a header. In its folder or the one above it lie
`queries.jsonl` with `_id` and `text`, and `corpus.jsonl` with `_id`, `text` and perhaps `title`, which is put before
the text. The file of the candidates is a corpus; the corpora of several languages are searched together.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from stilts.data.sources.text import Report, each_file, read_jsonl, read_lines, to_table
from stilts.errors import StiltsError, counted
from stilts.tasks.base import Task
from stilts.tasks.schema import GRADED_RANKING

HEADER = ["query-id", "corpus-id", "score"]
QUERIES, CORPUS = "queries.jsonl", "corpus.jsonl"


class _Text(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str = Field(alias="_id")
    text: str
    title: str = ""

    @property
    def whole(self) -> str:
        return f"{self.title} {self.text}" if self.title else self.text


def queries_beside(path: Path) -> Path:
    """Return the path of the queries of a file of judgements."""
    return next((file for folder in path.parents[:2] if (file := folder / QUERIES).is_file()), path.parent / QUERIES)


@each_file
def read_judgements(path: Path, task: Task, language: str) -> pa.Table:
    """Read the queries that have a relevant text, each with its best text as a pair, and the other relevant texts.

    Texts are there if the corpus lies beside the queries, which training and dev data need. Judgements of grade 0 are
    left out.

    Raises:
        StiltsError: there are no queries beside the file.
        Problems: wrong columns, grades that are no whole numbers, ids without a query or a text, by line.
    """
    folder = queries_beside(path).parent
    if not (folder / QUERIES).is_file():
        raise StiltsError(f"{path}: no {QUERIES} in its folder or the one above; the queries stand there")
    queries = _texts(folder / QUERIES)
    corpus = _texts(folder / CORPUS) if (folder / CORPUS).is_file() else None
    report = Report(path)
    graded = _grades(path, report, queries, corpus)
    report.close()
    rows: list[dict[str, Any]] = []
    given: set[str] = set()
    for id_, found in graded.items():
        best = sorted(found, key=lambda name: -found[name])
        row = {"id": id_, "query": queries[id_], "keys": best, "grades": [found[name] for name in best]}
        rows.append(row if corpus is None else {**row, "candidate": best[0], "text": corpus[best[0]]})
        given.add(best[0])
    for found in graded.values() if corpus is not None else ():
        others = [name for name in found if name not in given]
        given.update(others)
        rows += [{"candidate": name, "text": (corpus or {})[name], "keys": [name]} for name in others]
    if not rows:
        raise StiltsError(f"{path}: no query has a relevant text (score above 0)")
    return _table(path, rows)


def read_corpora(files: Mapping[str, Path], task: Task) -> pa.Table:
    """Read the candidates: the texts of one corpus, or of one per language."""
    rows: list[dict[str, Any]] = []
    for language, path in files.items():
        several = "" if len(files) == 1 else language
        rows += [
            {"candidate": name, "text": text, "keys": [name], "language": several}
            for name, text in _texts(path).items()
        ]
    return _table(next(iter(files.values())), rows)


def _grades(
    path: Path, report: Report, queries: Mapping[str, str], corpus: Mapping[str, str] | None
) -> dict[str, dict[str, int]]:
    """The grade of each relevant text by query."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    lines = list(enumerate(read_lines(path), 1))
    if lines[0][1].split("\t") != HEADER:
        report.add(1, f"the header is not {' TAB '.join(HEADER)}")
    for number, line in lines[1:]:
        cells = line.split("\t")
        if len(cells) != len(HEADER):
            report.add(number, f"{counted(len(cells), 'column')}, expected {len(HEADER)}: {', '.join(HEADER)}")
            continue
        query, name, grade = cells
        if not grade.lstrip("-").isdecimal():
            report.add(number, f"score {grade[:40]!r} is no whole number")
        elif query not in queries:
            report.add(number, f"no query {query[:40]!r} in {QUERIES}")
        elif corpus is not None and name not in corpus:
            report.add(number, f"no text {name[:40]!r} in {CORPUS}")
        elif int(grade) > 0:
            found[query][name] = int(grade)
    return found


def _texts(path: Path) -> dict[str, str]:
    report = Report(path)
    found: dict[str, str] = {}
    for number, row in read_jsonl(path, _Text, report):
        if row.id in found:
            report.add(number, f"the id {row.id[:40]!r} is there twice")
        if not row.whole.strip():
            report.add(number, "text is empty")
        found[row.id] = row.whole.strip()
    report.close()
    return found


def _table(path: Path, rows: list[dict[str, Any]]) -> pa.Table:
    lists = ("keys", "grades")
    columns = {name: [row.get(name, [] if name in lists else "") for row in rows] for name in GRADED_RANKING.names}
    return to_table(path, columns, GRADED_RANKING)
