"""Summaries as a terminal table, Markdown, CSV and LaTeX.

Invariants: every form is made of the same `Summary`, so that they agree; a number that is not there is a word, never
a zero; a standard deviation of one observation is `-`. Only CSV is meant for machines: it has every number in full.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from stilts.collect.aggregate import Entry, Summary, ended, splits, summarise, summarise_languages, targets
from stilts.collect.fit import blocks, fits
from stilts.collect.render_robustness import render_robustness, robustness_files
from stilts.collect.scores import Row
from stilts.collect.statistics.spread import Spread
from stilts.collect.table import parquet
from stilts.collect.text import escape_latex, escape_markdown, number
from stilts.store.local import LocalStore

UNPLANNED = ""
CSV_COLUMNS = (
    "split", "model", "intermediate", "column", "mean", "sd", "n", "planned", "status",
    "difference", "difference_sd", "difference_n",
)  # fmt: skip


def write_results(folder: Path, table: pa.Table) -> list[Path]:
    """Write results.parquet, table.md, .csv and .tex, languages-TARGET.md and .csv, and, where there was noise,
    robustness.md, .csv, .tex and .parquet, each atomically."""
    summaries = [summarise(table, split) for split in splits(table)]
    files = {
        "results.parquet": parquet(table),
        "table.md": "\n".join([*map(markdown, summaries), *_markdown_ended(table)]).encode(),
        "table.csv": to_csv(summaries).encode(),
        "table.tex": "\n".join(map(latex, summaries)).encode(),
    }
    by_target: dict[str, list[Summary]] = {}
    for split in splits(table):
        for target in targets(table, split):
            by_target.setdefault(target, []).append(summarise_languages(table, split, target))
    for target, parts in by_target.items():
        files[f"languages-{target}.md"] = "\n".join(map(markdown, parts)).encode()
        files[f"languages-{target}.csv"] = to_csv(parts).encode()
    files |= robustness_files(table, splits(table))
    store = LocalStore(folder)
    for name, content in files.items():
        store.write(name, content)
    return [folder / name for name in files]


def render_terminal(console: Console, table: pa.Table) -> None:
    """Print a table a split, cut into blocks of columns that fit the console, what noise cost, and what failed."""
    for split in splits(table):
        summary = summarise(table, split)
        models = list(dict.fromkeys(model for model, _ in summary.rows))
        console.print(Text(f"{', '.join(models)}; {summary.title}", style="bold"))
        for block in _blocks(console, summary):
            console.print(block)
        second = " Signed: difference to no intermediate, paired by seed." if summary.compared else ""
        console.print(Text(_legend(summary) + second, style="dim"))
        console.print()
    render_robustness(console, table, splits(table))
    for status, stage, error in ended(table):
        console.print(Text.assemble((status, "red"), f" {stage}: {error}"))


def score_text(entry: Entry) -> str:
    """`71.3 ±0.8 (n=2)`, `71.3 ±- (n=1), failed 1/2`, or `missing` where no seed has a number."""
    parts = [] if entry.score is None else [f"{number(entry.score)} (n={entry.score.n})"]
    return ", ".join([*parts, *_lacking(entry)])


def difference_text(entry: Entry) -> str:
    """`+1.2 ±0.3 (n=2)`, or nothing where no seed can be paired."""
    return "" if entry.difference is None else f"{number(entry.difference, '+')} (n={entry.difference.n})"


def markdown(summary: Summary) -> str:
    """A section with the table and, where there is a baseline, the differences to it."""
    lines = [f"## {escape_markdown(summary.title)}", "", *_markdown_table(summary, score_text, summary.rows)]
    if summary.compared:
        lines += ["", "Difference to no intermediate, paired by seed:", ""]
        lines += _markdown_table(summary, difference_text, summary.compared)
    return "\n".join([*lines, "", f"Mean ±SD over n seeds.{_notes(summary)}", ""])


def to_csv(summaries: Sequence[Summary]) -> str:
    """One line per row and column of the summaries, `CSV_COLUMNS`; numbers in full, empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for summary in summaries:
        for row in summary.rows:
            for column in summary.columns:
                entry = summary.entries.get((row, column))
                if entry is not None:
                    status = "; ".join(f"{name} {n}" for name, n in entry.lacking.items()) or "ok"
                    numbers = [*_fields(entry.score), entry.planned, status, *_fields(entry.difference)]
                    writer.writerow([summary.split, *row, column, *numbers])
    return text.getvalue()


def latex(summary: Summary) -> str:
    """Tables for `\\input`: scores, then differences; of targets, then of averages. Needs booktabs and graphicx."""
    usual = _usual(summary)
    shown = [(summary.rows, lambda entry: _latex_score(entry, usual), _legend(summary))]
    if summary.compared:
        caption = f"Difference to no intermediate, paired by seed, n={usual} unless noted."
        shown.append((summary.compared, lambda entry: _latex_difference(entry, usual), caption))
    tables = [
        _latex_table(summary, rows, columns, show, f"{summary.title}. {caption}")
        for rows, show, caption in shown
        for columns in (summary.parts, summary.averages)
        if columns
    ]
    return "\n".join(["% Needs \\usepackage{booktabs,graphicx}.", *tables])


def _lacking(entry: Entry) -> list[str]:
    whole = entry.score is None and len(entry.lacking) == 1
    return [status if whole else f"{status} {n}/{entry.planned}" for status, n in entry.lacking.items()]


def _fields(spread: Spread | None) -> list[float | int | str]:
    if spread is None:
        return ["", "", 0]
    return [spread.mean, "" if spread.sd is None else spread.sd, spread.n]


def _usual(summary: Summary) -> int:
    """The number of observations of most entries: said once, and in a cell only where it differs."""
    counts = Counter(entry.planned for entry in summary.entries.values())
    return counts.most_common(1)[0][0] if counts else 0


def _legend(summary: Summary) -> str:
    return f"Mean ±SD over seeds, n={_usual(summary)} unless noted.{_notes(summary)}"


def _notes(summary: Summary) -> str:
    notes = f" Not {summary.benchmark.upper()}'s averages: {', '.join(summary.notes)}." if summary.notes else ""
    return notes + (f" In no average: {', '.join(summary.outside)}." if summary.outside and summary.averages else "")


# --- Markdown


def _markdown_table(summary: Summary, show: Callable[[Entry], str], rows: Sequence[Row]) -> list[str]:
    lines = [
        "| model | intermediate | " + " | ".join(map(escape_markdown, summary.columns)) + " |",
        "|---|---|" + "---:|" * len(summary.columns),
    ]
    for row in rows:
        entries = [summary.entries.get((row, column)) for column in summary.columns]
        cells = [*map(escape_markdown, row), *(UNPLANNED if e is None else show(e) for e in entries)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _markdown_ended(table: pa.Table) -> list[str]:
    found = ended(table)
    lines = [f"- {status}: {escape_markdown(stage)}: {escape_markdown(error)}" for status, stage, error in found]
    return ["## Failed and diverged", "", *lines, ""] if found else []


# --- LaTeX


def _latex_table(
    summary: Summary, rows: Sequence[Row], columns: Sequence[str], show: Callable[[Entry], str], caption: str
) -> str:
    lines = ["\\begin{table*}[t]", "\\centering\\small", "\\setlength{\\tabcolsep}{3pt}"]
    lines.append(r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%")
    lines += [f"\\begin{{tabular}}{{ll{'r' * len(columns)}}}", "\\toprule"]
    lines += [" & ".join(["model", "intermediate", *map(escape_latex, columns)]) + r" \\", "\\midrule"]
    for row in rows:
        entries = [summary.entries.get((row, column)) for column in columns]
        cells = [*map(escape_latex, row), *(UNPLANNED if e is None else show(e) for e in entries)]
        lines.append(" & ".join(cells) + r" \\")
    lines += ["\\bottomrule", "\\end{tabular}}", f"\\caption{{{escape_latex(caption)}}}", "\\end{table*}", ""]
    return "\n".join(lines)


def _latex_score(entry: Entry, usual: int) -> str:
    parts = [] if entry.score is None else [_latex_number(entry.score, "", entry.planned == usual)]
    return " ".join([*parts, *(f"{{\\scriptsize {text}}}" for text in _lacking(entry))])


def _latex_difference(entry: Entry, usual: int) -> str:
    return "" if entry.difference is None else _latex_number(entry.difference, "+", entry.difference.n == usual)


def _latex_number(spread: Spread, sign: str, is_usual: bool) -> str:
    sd = "\\mbox{-}" if spread.sd is None else f"{spread.sd:.1f}"
    n = "" if is_usual else f"\\,(n={spread.n})"
    return f"${spread.mean:{sign}.1f}_{{\\pm {sd}{n}}}$"


# --- terminal


def _blocks(console: Console, summary: Summary) -> Iterator[RichTable]:
    """The table, cut by columns where it is wider than the console; averages then start a block of their own."""
    whole = fits(console, _rich_table(summary, summary.columns))
    for group in [summary.columns] if whole else [summary.parts, summary.averages]:
        yield from blocks(console, group, lambda columns: _rich_table(summary, columns))


def _rich_table(summary: Summary, columns: Sequence[str]) -> RichTable:
    usual = _usual(summary)
    several = len({model for model, _ in summary.rows}) > 1
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ["model"] * several + ["intermediate"]:
        table.add_column(name, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in summary.rows:
        entries = [summary.entries.get((row, column)) for column in columns]
        cells = [Text(UNPLANNED) if e is None else _terminal_cell(e, usual) for e in entries]
        table.add_row(*map(Text, row if several else row[1:]), *cells)
    return table


def _terminal_cell(entry: Entry, usual: int) -> Text:
    lines = []
    if entry.score is not None:
        n = "" if entry.planned == usual else f" (n={entry.score.n})"
        lines.append(Text(number(entry.score) + n))
    for text in _lacking(entry):
        lines.append(Text(text, style="red" if text.startswith(("failed", "diverged")) else "yellow"))
    if entry.difference is not None:
        style = "green" if entry.difference.mean > 0 else "red"
        fewer = entry.score is not None and entry.difference.n != entry.score.n
        n = f" (n={entry.difference.n})" if fewer else ""
        lines.append(Text(number(entry.difference, "+") + n, style=style))
    return Text("\n").join(lines)
