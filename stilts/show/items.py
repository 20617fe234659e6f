"""In which languages a regime gains or loses, as a terminal table, Markdown and CSV.

A language is better or worse where Holm's adjusted p is below ALPHA. All are counted: better, worse, neither, and
those without a number.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import csv
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from stilts.results.scores import MEAN
from stilts.show.text import escape_markdown
from stilts.statistics.power import ALPHA

HEADER = ("model", "intermediate", "seeds", "mean", "better", "worse", "neither")

LEGEND = (
    "Points against the baseline, averaged over seeds, with the 95 % interval of a paired bootstrap over test items. "
    f"Better, worse: Holm-adjusted p < {ALPHA:g} over the languages and regimes of a target. The seeds are taken as "
    "they are: what other seeds would change is in the table over seeds."
)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One regime on one target.

    Attributes:
        seeds: paired, of those planned; of the language that has the fewest.
        mean: over the languages; None where one of them has no number.
        better, worse: languages by size of the difference, the largest first.
        neither: languages whose difference these items do not tell from 0.
        absent: why there is no number -> of how many languages.
    """

    model: str
    intermediate: str
    seeds: str
    mean: Row | None
    better: tuple[Row, ...]
    worse: tuple[Row, ...]
    neither: int
    absent: Mapping[str, int]

    @property
    def known(self) -> bool:
        return bool(self.better or self.worse or self.neither)


def items_files(table: pa.Table) -> dict[str, bytes]:
    """items.md and items.csv; none where nothing is compared."""
    if not table.num_rows:
        return {}
    sections = [_markdown(title, verdicts) for title, verdicts in _verdicts(table)]
    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink, csv.WriteOptions(quoting_style="needed"))
    return {"items.md": "\n".join([*sections, LEGEND, ""]).encode(), "items.csv": sink.getvalue().to_pybytes()}


def render_items(console: Console, table: pa.Table) -> None:
    """Print a table for each target of which something is known."""
    known = [(title, verdicts) for title, verdicts in _verdicts(table) if any(v.known for v in verdicts)]
    for title, verdicts in known:
        console.print(Text(title, style="bold"))
        console.print(_rich_table(verdicts))
    if known:
        console.print(Text(LEGEND, style="dim"))
        console.print()


def _verdicts(table: pa.Table) -> Iterator[tuple[str, list[Verdict]]]:
    """(title, regimes) of each target on each split."""
    found: dict[tuple[str, str], dict[tuple[str, str], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in table.to_pylist():
        found[row["target"], row["split"]][row["model"], row["intermediate"]].append(row)
    for (target, split), regimes in found.items():
        baseline = next(iter(regimes.values()))[0]["baseline"]
        title = f"{target} {split}: languages against {baseline}, over test items"
        yield title, [_verdict(*names, rows) for names, rows in regimes.items()]


def _verdict(model: str, intermediate: str, rows: Sequence[Row]) -> Verdict:
    languages = [row for row in rows if row["language"] != MEAN]
    numbers = sorted((row for row in languages if row["difference"] is not None), key=lambda row: row["difference"])
    clear = list(filter(_is_clear, numbers))
    fewest = min(languages, key=lambda row: row["seeds"])
    return Verdict(
        model,
        intermediate,
        seeds=str(fewest["seeds"]) + (f"/{fewest['planned']}" if fewest["seeds"] < fewest["planned"] else ""),
        mean=next((row for row in rows if row["language"] == MEAN and row["difference"] is not None), None),
        better=tuple(row for row in reversed(clear) if row["difference"] > 0),
        worse=tuple(row for row in clear if row["difference"] < 0),
        neither=len(numbers) - len(clear),
        absent=Counter(row["note"] for row in languages if row["difference"] is None),
    )


def _is_clear(row: Row) -> bool:
    return row["p_holm"] is not None and row["p_holm"] < ALPHA


# --- the cells


def _listed(rows: Sequence[Row], show: Callable[[Row], str]) -> str:
    """`2: de +1.2, fr +0.8`"""
    return f"{len(rows)}: {', '.join(map(show, rows))}" if rows else "0"


def _points(row: Row) -> str:
    return f"{row['language']} {row['difference']:+z.1f}"


def _points_with_interval(row: Row) -> str:
    return f"{row['language']} {_with_interval(row)}"


def _with_interval(row: Row) -> str:
    """`+1.2 [+0.3, +2.1]`"""
    interval = "" if row["low"] is None else f" [{row['low']:+z.1f}, {row['high']:+z.1f}]"
    return f"{row['difference']:+z.1f}{interval}"


def _rest(verdict: Verdict) -> str:
    """`3; no gold: 2`"""
    absent = [f"{why}: {n}" for why, n in verdict.absent.items()]
    return "; ".join([str(verdict.neither), *absent] if verdict.known else absent)


# --- the forms


def _markdown(title: str, verdicts: Sequence[Verdict]) -> str:
    lines = [f"## {escape_markdown(title)}", "", "| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
    for verdict in verdicts:
        mean = "" if verdict.mean is None else escape_markdown(_with_interval(verdict.mean))
        lists = [
            _listed(rows, _points_with_interval) if verdict.known else "" for rows in (verdict.better, verdict.worse)
        ]
        texts = map(escape_markdown, (*lists, _rest(verdict)))
        bold = "**" if verdict.mean is not None and _is_clear(verdict.mean) else ""
        names = map(escape_markdown, (verdict.model, verdict.intermediate, verdict.seeds))
        lines.append("| " + " | ".join([*names, f"{bold}{mean}{bold}", *texts]) + " |")
    return "\n".join([*lines, ""])


def _rich_table(verdicts: Sequence[Verdict]) -> RichTable:
    several = len({verdict.model for verdict in verdicts}) > 1
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in HEADER if several else HEADER[1:]:
        table.add_column(name, no_wrap=name in ("model", "intermediate", "seeds", "mean"))
    for verdict in verdicts:
        names = (verdict.model, verdict.intermediate, verdict.seeds)[not several :]
        table.add_row(*map(Text, names), *_rich_cells(verdict))
    return table


def _rich_cells(verdict: Verdict) -> Iterator[Text]:
    mean = verdict.mean
    clear = mean is not None and _is_clear(mean)
    yield Text("" if mean is None else _with_interval(mean), _colour(mean["difference"]) if mean and clear else "")
    for rows in (verdict.better, verdict.worse):
        text = _listed(rows, _points) if verdict.known else ""
        yield Text(text, _colour(rows[0]["difference"]) if rows else "")
    yield Text(_rest(verdict), "yellow" if verdict.absent else "")


def _colour(difference: float) -> str:
    return "green" if difference > 0 else "red"
