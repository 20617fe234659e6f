"""Displays the table `items`: the languages in which a regime is better or worse, by a bootstrap over test items.

A language counts as better or worse if its p value, adjusted by Holm's method, is below ALPHA. Every language is
counted once: as better, worse, neither, or without a number.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from stilts.results.scores import MEAN
from stilts.show.grid import MODEL, Cell, Grid
from stilts.show.text import with_interval
from stilts.statistics.power import ALPHA

HEADER = (MODEL, "intermediate", "seeds", "mean", "better", "worse", "neither")

LEGEND = (
    "Points against the baseline, averaged over seeds, with the 95 % interval of a paired bootstrap over test items. "
    f"Better, worse: Holm-adjusted p < {ALPHA:g} over the languages and regimes of a target. The seeds are taken as "
    "they are: what other seeds would change is in the table over seeds."
)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RegimeLanguages:
    """One regime on one target: in which languages it is better or worse than the baseline.

    Attributes:
        seeds: smallest number of paired seeds of a language, as `5`, or `4/5` if more were planned.
        mean: row of the mean over languages; None if a language has no number.
        better, worse: rows of languages, the largest difference first.
        neither: number of languages that are neither better nor worse.
        absent: number of languages without a number, by reason.
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


def items_grids(table: pa.Table, *, brief: bool = False) -> Iterator[Grid]:
    """One grid per target and split.

    Args:
        brief: leave out the targets that have no number yet.
    """
    for title, regimes_of_target in _targets(table):
        if not brief or any(regime.known for regime in regimes_of_target):
            rows = tuple(map(_cells, regimes_of_target))
            yield Grid(title, HEADER, rows, names=3, legend=(LEGEND,), wrapped=("better", "worse", "neither"))


def _targets(table: pa.Table) -> Iterator[tuple[str, list[RegimeLanguages]]]:
    """(title, regimes) of each target and split."""
    found: dict[tuple[str, str], dict[tuple[str, str], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in table.to_pylist():
        found[row["target"], row["split"]][row["model"], row["intermediate"]].append(row)
    for (target, split), regimes in found.items():
        baseline = next(iter(regimes.values()))[0]["baseline"]
        title = f"{target} {split}: languages against {baseline}, over test items"
        yield title, [_regime_languages(*names, rows) for names, rows in regimes.items()]


def _regime_languages(model: str, intermediate: str, rows: Sequence[Row]) -> RegimeLanguages:
    languages = [row for row in rows if row["language"] != MEAN]
    numbers = sorted((row for row in languages if row["difference"] is not None), key=lambda row: row["difference"])
    clear = list(filter(_is_clear, numbers))
    fewest = min(languages, key=lambda row: row["seeds"])
    return RegimeLanguages(
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


def _cells(regime: RegimeLanguages) -> tuple[Cell | str, ...]:
    mean = regime.mean
    clear = mean is not None and _is_clear(mean)
    shown = Cell(
        () if mean is None else (_with_interval(mean),),
        (_colour(mean["difference"]),) if mean is not None and clear else (),
        strong=clear,
    )
    lists = (_listed(rows, regime.known) for rows in (regime.better, regime.worse))
    rest = Cell((_rest(regime),), ("yellow" if regime.absent else "",))
    return (regime.model, regime.intermediate, regime.seeds, shown, *lists, rest)


def _listed(rows: Sequence[Row], known: bool) -> Cell | str:
    """`2: de +1.2, fr +0.8` in a terminal, with intervals in Markdown."""
    if not rows:
        return "0" if known else ""

    def text(points: Callable[[Row], str]) -> str:
        listed = ", ".join(f"{row['language']} {points(row)}" for row in rows)
        return f"{len(rows)}: {listed}"

    short = text(lambda row: f"{row['difference']:+z.1f}")
    return Cell((short,), (_colour(rows[0]["difference"]),), markdown=text(_with_interval))


def _with_interval(row: Row) -> str:
    return with_interval(row["difference"], row["low"], row["high"], sign="+")


def _rest(regime: RegimeLanguages) -> str:
    """The number of languages that are neither, then those without a number by reason, as `3; no gold: 2`."""
    absent = [f"{why}: {n}" for why, n in regime.absent.items()]
    return "; ".join([str(regime.neither), *absent] if regime.known else absent)


def _colour(difference: float) -> str:
    return "green" if difference > 0 else "red"
