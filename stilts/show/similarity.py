"""Displays the table `similarity`: correlations between gains and the languages' distance to English."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from stilts.results.similarity.distances import ATTRIBUTION, FEATURES
from stilts.results.similarity.similarity import ALL, MEASURES
from stilts.show.grid import Grid
from stilts.show.text import probability
from stilts.statistics.power import ALPHA

LEGEND = (
    "Correlation between the points that a regime gains in a language over {baseline} and the language's distance to "
    "English; below 0: the nearer, the more is gained. n: languages. 95 % intervals (Fisher's z; Spearman: Bonett and "
    f"Wright 2000); *: p < {ALPHA:g} by Holm over {{comparisons}} correlations. Related languages count as "
    "independent ones, which they are not: intervals are too narrow.",
    "Partial: Pearson's with the logarithm of the pretraining size held constant ({sizes}).",
    f"{ATTRIBUTION}.",
)

Row = Mapping[str, Any]


def similarity_grids(table: pa.Table) -> Iterator[Grid]:
    """One grid per split, model and target that has a correlation, `all` first.

    If there are others, a last grid without rows says why their correlations could not be computed.
    """
    rows = table.to_pylist()
    where = list(dict.fromkeys((row["target"] != ALL, row["split"], row["model"], row["target"]) for row in rows))
    absent: dict[str, str] = {}
    for _, split, model, target in sorted(where, key=lambda place: place[0]):
        found = [row for row in rows if (row["split"], row["model"], row["target"]) == (split, model, target)]
        title = f"{model} ({found[0]['family'] or 'architecture not known'}), {target} {split}"
        if any(row["pearson"] is not None for row in found):
            yield _grid(f"{title}: gain and distance to English", found)
        else:
            absent[title] = "; ".join(dict.fromkeys(row["note"] for row in found))
    if absent:
        reasons = tuple(f"{title}: {reason}." for title, reason in absent.items())
        yield Grid("Gain and distance to English: not computed", (), (), 0, notes=reasons)


def _grid(title: str, rows: Sequence[Row]) -> Grid:
    words = {
        "baseline": rows[0]["baseline"],
        "comparisons": max(row["comparisons"] or 0 for row in rows),
        "sizes": rows[0]["size_source"] or "sizes not known",
    }
    regimes = {regime: _by_feature(rows, regime) for regime in dict.fromkeys(row["intermediate"] for row in rows)}
    cells = [
        (regime, measure, _pairs(found, measure), *(_cell(row, measure) for row in found))
        for regime, found in regimes.items()
        for measure in MEASURES
    ]
    return Grid(
        title=title,
        header=("intermediate", "correlation", "n", *FEATURES),
        rows=tuple(cells),
        names=3,
        notes=tuple(_notes(rows)),
        legend=tuple(sentence.format(**words) for sentence in LEGEND),
    )


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    """Why correlations are missing, followed by the regimes and features, unless all of them are concerned."""
    for note in dict.fromkeys(row["note"] for row in rows if row["note"]):
        places = [f"{row['intermediate']} {row['feature']}" for row in rows if row["note"] == note]
        yield f"{note}." if len(places) == len(rows) else f"{note}: {', '.join(places)}."


def _by_feature(rows: Sequence[Row], regime: str) -> list[Row]:
    found = {row["feature"]: row for row in rows if row["intermediate"] == regime}
    return [found[feature] for feature in FEATURES]


def _pairs(rows: Sequence[Row], measure: str) -> str:
    """Number of languages, as `25`, or `24-25` if the features have different numbers."""
    column = "partial_languages" if measure == "partial" else "languages"
    numbers = sorted({row[column] for row in rows})
    return "-".join(map(str, numbers if len(numbers) == 1 else (numbers[0], numbers[-1])))


def _cell(row: Row, measure: str) -> str:
    """Correlation, interval and p value, as `-0.32 [-0.63, 0.09] p=0.12`; an asterisk marks significance."""
    value, low, high, p, p_holm = (row[f"{measure}{part}"] for part in ("", "_low", "_high", "_p", "_p_holm"))
    if value is None:
        return ""
    ends = "" if low is None else f" [{low:z.2f}, {high:z.2f}]"
    return f"{value:z.2f}{ends} {probability(p)}{'*' * (p_holm < ALPHA)}"
