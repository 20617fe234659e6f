"""Displays the tables over seeds: the scores of each regime, and its differences to the baseline."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from stilts.results.entry import Entry
from stilts.results.summary import Summary
from stilts.show.grid import MODEL, Cell, Grid
from stilts.show.text import interval, joined, number, probability
from stilts.statistics.power import ALPHA, FEWEST, POWER
from stilts.statistics.spread import Spread

UNPLANNED = ""


def summary_grids(summaries: Iterable[Summary]) -> Iterator[Grid]:
    """For each summary a grid of scores and, if it has a baseline, one of differences to the baseline."""
    for summary in summaries:
        yield _scores(summary)
        if summary.baseline is not None:
            yield _differences(summary)


def score_text(entry: Entry) -> str:
    """`71.3 ±0.8 [70.3, 72.3] (n=5)`, or `71.3 ±- (n=1), failed 1/2`, or `missing` if no seed has a score."""
    parts = []
    if entry.score is not None:
        parts.append(joined(number(entry.score), interval(entry.low, entry.high), f"(n={entry.n})"))
    return ", ".join([*parts, *_lacking(entry)])


def difference_text(entry: Entry) -> str:
    """`+1.2 ±0.4 [+0.7, +1.7] p=0.021* †8 (n=5)`; empty if no seed can be paired with the baseline's."""
    if entry.gain is None:
        return ""
    ends = interval(entry.difference_low, entry.difference_high, "+")
    return joined(number(entry.gain, "+"), ends, _verdict(entry), f"(n={entry.gain.n})")


# --- the two grids


def _scores(summary: Summary) -> Grid:
    usual = _usual(summary)
    signed = f"Signed: difference to {summary.baseline}, paired by seed; *: significant."
    return Grid(
        title=summary.title,
        header=(MODEL, "intermediate", *summary.columns),
        rows=_rows(summary, summary.rows, lambda entry: _score_cell(entry, usual)),
        names=2,
        notes=tuple(_notes(summary)),
        legend=(f"Mean ±SD over seeds, n={usual} unless noted; in brackets the 95 % interval.",),
        terminal=() if summary.baseline is None else (signed,),
        blocks=(summary.parts, summary.averages),
    )


def _differences(summary: Summary) -> Grid:
    usual = _usual(summary)
    return Grid(
        title=f"{summary.title}. Difference to {summary.baseline}, paired by seed: 95 % interval",
        header=(MODEL, "intermediate", *summary.columns),
        rows=_rows(summary, summary.compared, lambda entry: _difference_cell(entry, usual)),
        names=2,
        legend=(_marks(summary),),
        blocks=(summary.parts, summary.averages),
    )


def _rows(
    summary: Summary, rows: Sequence[tuple[str, str]], cell: Callable[[Entry], Cell]
) -> tuple[tuple[Cell | str, ...], ...]:
    entries = [(row, [summary.entries.get((row, column)) for column in summary.columns]) for row in rows]
    return tuple((*row, *(UNPLANNED if e is None else cell(e) for e in found)) for row, found in entries)


def _usual(summary: Summary) -> int:
    """The most frequent number of planned seeds. The legend states it; cells state their number only if it differs."""
    counts = Counter(entry.planned for entry in summary.entries.values())
    return counts.most_common(1)[0][0] if counts else 0


# --- the cells


def _score_cell(entry: Entry, usual: int) -> Cell:
    lines, styles = [], []
    if entry.score is not None:
        lines.append(number(entry.score) + ("" if entry.planned == usual else f" (n={entry.score.n})"))
        styles.append("")
    for text in _lacking(entry):
        lines.append(text)
        styles.append("red" if text.startswith(("failed", "diverged")) else "yellow")
    if entry.gain is not None:
        fewer = entry.score is not None and entry.gain.n != entry.score.n
        lines.append(number(entry.gain, "+") + "*" * entry.significant + (f" (n={entry.gain.n})" if fewer else ""))
        styles.append(_style(entry))
    return Cell(tuple(lines), tuple(styles), score_text(entry), _latex_score(entry, usual))


def _difference_cell(entry: Entry, usual: int) -> Cell:
    if entry.gain is None:
        return Cell(())
    ends = interval(entry.difference_low, entry.difference_high, "+") or "-"
    lines = tuple(line for line in (ends, _verdict(entry)) if line)
    return Cell(lines, (_style(entry),) * len(lines), difference_text(entry), _latex_difference(entry, usual))


def _lacking(entry: Entry) -> list[str]:
    whole = entry.score is None and len(entry.lacking) == 1
    return [status if whole else f"{status} {n}/{entry.planned}" for status, n in entry.lacking.items()]


def _verdict(entry: Entry) -> str:
    """The adjusted p value and, if the comparison is underpowered, the number of seeds it needs: `p=0.021* †8`."""
    p = "" if entry.p_holm is None else probability(entry.p_holm) + "*" * entry.significant
    needed = "" if entry.seeds_needed is None else f"{entry.seeds_needed}"
    return joined(p, f"†{needed}" if entry.underpowered else "")


def _style(entry: Entry) -> str:
    """The colour of a significant difference; other differences are not coloured."""
    return "" if not entry.significant else "green" if (entry.difference or 0) > 0 else "red"


def _latex_score(entry: Entry, usual: int) -> str:
    parts = [] if entry.score is None else [_latex_number(entry.score, "", entry.planned == usual)]
    return " ".join([*parts, *(f"{{\\scriptsize {text}}}" for text in _lacking(entry))])


def _latex_difference(entry: Entry, usual: int) -> str:
    """LaTeX source of the difference with its marks, and of its interval in small type."""
    assert entry.gain is not None
    marks = "*" * entry.significant + "\\dagger" * bool(entry.underpowered)
    ends = interval(entry.difference_low, entry.difference_high, "+")
    found = _latex_number(entry.gain, "+", entry.gain.n == usual, f"^{{{marks}}}" if marks else "")
    return joined(found, f"{{\\scriptsize ${ends}$}}" if ends else "")


def _latex_number(spread: Spread, sign: str, is_usual: bool, marks: str = "") -> str:
    sd = "\\mbox{-}" if spread.sd is None else f"{spread.sd:.1f}"
    n = "" if is_usual else f"\\,(n={spread.n})"
    return f"${spread.mean:{sign}.1f}{marks}_{{\\pm {sd}{n}}}$"


# --- the sentences


def _notes(summary: Summary) -> Iterator[str]:
    if summary.notes:
        what = f"other languages than {summary.benchmark.upper()}'s, in no average over tasks"
        yield f"Means over {what}: {', '.join(summary.notes)}."
    if summary.without:
        yield f"Languages left out: {', '.join(summary.without)}."
    if summary.outside and summary.averages:
        yield f"In no average: {', '.join(summary.outside)}."


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
