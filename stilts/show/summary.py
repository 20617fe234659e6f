"""Displays the tables over seeds: the scores of each regime, and its differences to the baseline."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from stilts.results.seed_statistics import SeedStatistics
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


def score_text(stats: SeedStatistics) -> str:
    """`71.3 ±0.8 [70.3, 72.3] (n=5)`, or `71.3 ±- (n=1), failed 1/2`, or `missing` if no seed has a score."""
    parts = []
    if stats.score is not None:
        parts.append(joined(number(stats.score), interval(stats.low, stats.high), f"(n={stats.n})"))
    return ", ".join([*parts, *_lacking(stats)])


def difference_text(stats: SeedStatistics) -> str:
    """`+1.2 ±0.4 [+0.7, +1.7] p=0.021* †8 (n=5)`; empty if no seed can be paired with the baseline's."""
    if stats.gain is None:
        return ""
    ends = interval(stats.difference_low, stats.difference_high, "+")
    return joined(number(stats.gain, "+"), ends, _verdict(stats), f"(n={stats.gain.n})")


# --- the two grids


def _scores(summary: Summary) -> Grid:
    usual = _usual(summary)
    signed = f"Signed: difference to {summary.baseline}, paired by seed; *: significant."
    return Grid(
        title=summary.title,
        header=(MODEL, "intermediate", *summary.columns),
        rows=_rows(summary, summary.rows, lambda stats: _score_cell(stats, usual)),
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
        rows=_rows(summary, summary.compared, lambda stats: _difference_cell(stats, usual)),
        names=2,
        legend=(_marks(summary),),
        blocks=(summary.parts, summary.averages),
    )


def _rows(
    summary: Summary, rows: Sequence[tuple[str, str]], cell: Callable[[SeedStatistics], Cell]
) -> tuple[tuple[Cell | str, ...], ...]:
    statistics = [(row, [summary.statistics.get((row, column)) for column in summary.columns]) for row in rows]
    return tuple((*row, *(UNPLANNED if e is None else cell(e) for e in found)) for row, found in statistics)


def _usual(summary: Summary) -> int:
    """The most frequent number of planned seeds. The legend states it; cells state their number only if it differs."""
    counts = Counter(stats.planned for stats in summary.statistics.values())
    return counts.most_common(1)[0][0] if counts else 0


# --- the cells


def _score_cell(stats: SeedStatistics, usual: int) -> Cell:
    lines, styles = [], []
    if stats.score is not None:
        lines.append(number(stats.score) + ("" if stats.planned == usual else f" (n={stats.score.n})"))
        styles.append("")
    for text in _lacking(stats):
        lines.append(text)
        styles.append("red" if text.startswith(("failed", "diverged")) else "yellow")
    if stats.gain is not None:
        fewer = stats.score is not None and stats.gain.n != stats.score.n
        lines.append(number(stats.gain, "+") + "*" * stats.significant + (f" (n={stats.gain.n})" if fewer else ""))
        styles.append(_style(stats))
    return Cell(tuple(lines), tuple(styles), score_text(stats), _latex_score(stats, usual))


def _difference_cell(stats: SeedStatistics, usual: int) -> Cell:
    if stats.gain is None:
        return Cell(())
    ends = interval(stats.difference_low, stats.difference_high, "+") or "-"
    lines = tuple(line for line in (ends, _verdict(stats)) if line)
    return Cell(lines, (_style(stats),) * len(lines), difference_text(stats), _latex_difference(stats, usual))


def _lacking(stats: SeedStatistics) -> list[str]:
    whole = stats.score is None and len(stats.lacking) == 1
    return [status if whole else f"{status} {n}/{stats.planned}" for status, n in stats.lacking.items()]


def _verdict(stats: SeedStatistics) -> str:
    """The adjusted p value and, if the comparison is underpowered, the number of seeds it needs: `p=0.021* †8`."""
    p = "" if stats.p_holm is None else probability(stats.p_holm) + "*" * stats.significant
    needed = "" if stats.seeds_needed is None else f"{stats.seeds_needed}"
    return joined(p, f"†{needed}" if stats.underpowered else "")


def _style(stats: SeedStatistics) -> str:
    """The colour of a significant difference; other differences are not coloured."""
    return "" if not stats.significant else "green" if (stats.difference or 0) > 0 else "red"


def _latex_score(stats: SeedStatistics, usual: int) -> str:
    parts = [] if stats.score is None else [_latex_number(stats.score, "", stats.planned == usual)]
    return " ".join([*parts, *(f"{{\\scriptsize {text}}}" for text in _lacking(stats))])


def _latex_difference(stats: SeedStatistics, usual: int) -> str:
    """LaTeX source of the difference with its marks, and of its interval in small type."""
    assert stats.gain is not None
    marks = "*" * stats.significant + "\\dagger" * bool(stats.underpowered)
    ends = interval(stats.difference_low, stats.difference_high, "+")
    found = _latex_number(stats.gain, "+", stats.gain.n == usual, f"^{{{marks}}}" if marks else "")
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
    return max((e.comparisons or 0 for (_, column), e in summary.statistics.items() if column in columns), default=0)
