"""Summaries as a terminal table, Markdown and LaTeX.

Every form shows the same entries: scores; then, where there is a baseline, differences to it, with their intervals,
what is significant (*) and what is underpowered (†).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from stilts.results.entry import Entry
from stilts.results.scores import Row
from stilts.results.summary import Summary
from stilts.show.columns import blocks, fits
from stilts.show.forms import latex_table, markdown_table
from stilts.show.text import escape_markdown, interval, number, probability
from stilts.statistics.power import ALPHA, FEWEST, POWER
from stilts.statistics.spread import Spread

UNPLANNED = ""


def score_text(entry: Entry) -> str:
    """`71.3 ±0.8 [70.3, 72.3] (n=5)`, `71.3 ±- (n=1), failed 1/2`, or `missing` where no seed has a number."""
    parts = []
    if entry.score is not None:
        parts.append(_joined(number(entry.score), interval(entry.low, entry.high), f"(n={entry.n})"))
    return ", ".join([*parts, *_lacking(entry)])


def difference_text(entry: Entry) -> str:
    """`+1.2 ±0.4 [+0.7, +1.7] p=0.021* †8 (n=5)`, as far as it is there; nothing where no seed can be paired."""
    if entry.gain is None:
        return ""
    ends = interval(entry.difference_low, entry.difference_high, "+")
    return _joined(number(entry.gain, "+"), ends, _verdict(entry), f"(n={entry.gain.n})")


def markdown(summary: Summary) -> str:
    """A section with the scores and, where there is a baseline, the differences to it."""
    lines = [f"## {escape_markdown(summary.title)}", ""]
    lines += markdown_table(*_grid(summary, summary.rows, summary.columns, score_text), names=2)
    lines += ["", f"Mean ±SD [95 % interval] over n seeds.{_notes(summary)}", ""]
    if summary.baseline is not None:
        lines += [f"{_compared_to(summary)}:", ""]
        lines += markdown_table(*_grid(summary, summary.compared, summary.columns, difference_text), names=2)
        lines += ["", escape_markdown(_marks(summary)), ""]
    return "\n".join(lines)


def latex(summary: Summary) -> str:
    """Tables for `\\input`: scores, then differences; of targets, then of averages. Needs booktabs and graphicx."""
    usual = _usual(summary)
    shown = [(summary.rows, lambda entry: _latex_score(entry, usual), _legend(summary))]
    if summary.baseline is not None:
        caption = f"{_compared_to(summary)}, n={usual} unless noted. {_marks(summary)}"
        shown.append((summary.compared, lambda entry: _latex_difference(entry, usual), caption))
    tables = [
        latex_table(*_grid(summary, rows, columns, show), names=2, caption=f"{summary.title}. {caption}")
        for rows, show, caption in shown
        for columns in (summary.parts, summary.averages)
        if columns
    ]
    return "\n".join(tables)


def print_summary(console: Console, summary: Summary) -> None:
    """Print the scores with the differences below, then what the differences are worth."""
    console.print(Text(f"{', '.join(models(summary))}; {summary.title}", style="bold"))
    for block in _blocks(console, summary, summary.rows, lambda entry: _scores(entry, _usual(summary))):
        console.print(block)
    signed = (
        ""
        if summary.baseline is None
        else f" Signed: difference to {summary.baseline}, paired by seed; *: significant."
    )
    console.print(Text(_legend(summary) + signed, style="dim"))
    console.print()
    if summary.baseline is not None:
        console.print(Text(f"{_compared_to(summary)}: 95 % interval", style="bold"))
        for block in _blocks(console, summary, summary.compared, _worth):
            console.print(block)
        console.print(Text(_marks(summary), style="dim"))
        console.print()


def models(summary: Summary) -> list[str]:
    return list(dict.fromkeys(model for model, _ in summary.rows))


# --- the cells


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _lacking(entry: Entry) -> list[str]:
    whole = entry.score is None and len(entry.lacking) == 1
    return [status if whole else f"{status} {n}/{entry.planned}" for status, n in entry.lacking.items()]


def _verdict(entry: Entry) -> str:
    """`p=0.021* †8`: p as adjusted, and of what is underpowered the seeds that it needs."""
    p = "" if entry.p_holm is None else probability(entry.p_holm) + "*" * entry.significant
    needed = "" if entry.seeds_needed is None else f"{entry.seeds_needed}"
    return _joined(p, f"†{needed}" if entry.underpowered else "")


def _usual(summary: Summary) -> int:
    """The number of observations of most entries: said once, and in a cell only where it differs."""
    counts = Counter(entry.planned for entry in summary.entries.values())
    return counts.most_common(1)[0][0] if counts else 0


def _grid(
    summary: Summary, rows: Sequence[Row], columns: Sequence[str], show: Callable[[Entry], str]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text."""
    entries = [[summary.entries.get((row, column)) for column in columns] for row in rows]
    cells = [
        [*row, *(UNPLANNED if e is None else show(e) for e in found)] for row, found in zip(rows, entries, strict=True)
    ]
    return ["model", "intermediate", *columns], cells


# --- the words


def _compared_to(summary: Summary) -> str:
    return f"Difference to {summary.baseline}, paired by seed"


def _legend(summary: Summary) -> str:
    return f"Mean ±SD over seeds, n={_usual(summary)} unless noted.{_notes(summary)}"


def _notes(summary: Summary) -> str:
    notes = f" Not {summary.benchmark.upper()}'s averages: {', '.join(summary.notes)}." if summary.notes else ""
    return notes + (f" In no average: {', '.join(summary.outside)}." if summary.outside and summary.averages else "")


def _marks(summary: Summary) -> str:
    families = f"{_comparisons(summary, summary.parts)} comparisons of a model"
    families += f" (averages: {_comparisons(summary, summary.averages)})" if summary.averages else ""
    return (
        f"p: paired t test, adjusted (Holm) over the {families}; *: below {ALPHA:g}. †: underpowered: fewer than "
        f"{FEWEST} pairs, or than the number given, which would show a difference of {summary.points:g} "
        f"with a power of {POWER:.0%}."
    )


def _comparisons(summary: Summary, columns: Sequence[str]) -> int:
    return max((e.comparisons or 0 for (_, column), e in summary.entries.items() if column in columns), default=0)


# --- LaTeX


def _latex_score(entry: Entry, usual: int) -> str:
    parts = [] if entry.score is None else [_latex_number(entry.score, "", entry.planned == usual)]
    return " ".join([*parts, *(f"{{\\scriptsize {text}}}" for text in _lacking(entry))])


def _latex_difference(entry: Entry, usual: int) -> str:
    """The difference with its marks, and in small type its interval."""
    if entry.gain is None:
        return ""
    marks = "*" * entry.significant + "\\dagger" * bool(entry.underpowered)
    ends = interval(entry.difference_low, entry.difference_high, "+")
    found = _latex_number(entry.gain, "+", entry.gain.n == usual, f"^{{{marks}}}" if marks else "")
    return _joined(found, f"{{\\scriptsize ${ends}$}}" if ends else "")


def _latex_number(spread: Spread, sign: str, is_usual: bool, marks: str = "") -> str:
    sd = "\\mbox{-}" if spread.sd is None else f"{spread.sd:.1f}"
    n = "" if is_usual else f"\\,(n={spread.n})"
    return f"${spread.mean:{sign}.1f}{marks}_{{\\pm {sd}{n}}}$"


# --- terminal


def _blocks(
    console: Console, summary: Summary, rows: Sequence[Row], show: Callable[[Entry], Text]
) -> Iterator[RichTable]:
    """The table, cut by columns where it is wider than the console; averages then start a block of their own."""

    def table(columns: Sequence[str]) -> RichTable:
        return _rich_table(summary, rows, columns, show)

    for group in [summary.columns] if fits(console, table(summary.columns)) else [summary.parts, summary.averages]:
        yield from blocks(console, group, table)


def _rich_table(
    summary: Summary, rows: Sequence[Row], columns: Sequence[str], show: Callable[[Entry], Text]
) -> RichTable:
    several = len(models(summary)) > 1
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ["model"] * several + ["intermediate"]:
        table.add_column(name, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        entries = [summary.entries.get((row, column)) for column in columns]
        cells = [Text(UNPLANNED) if e is None else show(e) for e in entries]
        table.add_row(*map(Text, row if several else row[1:]), *cells)
    return table


def _scores(entry: Entry, usual: int) -> Text:
    lines = []
    if entry.score is not None:
        n = "" if entry.planned == usual else f" (n={entry.score.n})"
        lines.append(Text(number(entry.score) + n))
    for text in _lacking(entry):
        lines.append(Text(text, style="red" if text.startswith(("failed", "diverged")) else "yellow"))
    if entry.gain is not None:
        fewer = entry.score is not None and entry.gain.n != entry.score.n
        n = f" (n={entry.gain.n})" if fewer else ""
        lines.append(Text(number(entry.gain, "+") + "*" * entry.significant + n, style=_style(entry)))
    return Text("\n").join(lines)


def _worth(entry: Entry) -> Text:
    if entry.gain is None:
        return Text("")
    ends = interval(entry.difference_low, entry.difference_high, "+") or "-"
    return Text("\n".join(line for line in (ends, _verdict(entry)) if line), style=_style(entry))


def _style(entry: Entry) -> str:
    """Colour is for what is significant."""
    return "" if not entry.significant else "green" if (entry.difference or 0) > 0 else "red"
