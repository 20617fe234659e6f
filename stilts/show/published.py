"""Displays the table `published`: published results next to the run's own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from stilts.show.grid import Grid
from stilts.show.text import with_interval

NAMES = ("target", "metric", "model", "method", "published")

LEGEND = (
    "Beside a published number stands the run's own only where both are means over the same languages and test "
    "examples, zero-shot from English; else what differs. Beside fine-tuning stands the run's baseline, beside the "
    "best intermediate what was chosen on dev."
)


EXTRACTION = (
    "* The text of an answer is taken in another way than in the published row: the setting extraction: official takes "
    "it as XTREME's script does. A perfect model would have exact match and F1 of 98.6 and 98.7 on XQuAD in Chinese, "
    "94.8 and 98.3 on MLQA in Chinese as taken here, and 69.0 and 69.9, 13.4 and 27.4 as the script takes them; other "
    "languages differ by up to 2 points."
)


def published_grids(table: pa.Table) -> Iterator[Grid]:
    """One grid per base model of the run. The legend lists the numbered sources of the published results."""
    rows = table.to_pylist()
    for model in dict.fromkeys(row["ours_model"] for row in rows):
        found = [row for row in rows if row["ours_model"] == model]
        sources = list(dict.fromkeys(row["source"] for row in found))
        cells = [
            (
                row["column"],
                row["metric"].replace("_", " "),
                row["model"],
                row["method"],
                f"{row['value']:.1f} [{sources.index(row['source']) + 1}]",
                row["ours_intermediate"] or "",
                row["note"]
                or with_interval(row["ours"], row["ours_low"], row["ours_high"], row["ours_n"])
                + "*" * (row["extraction"] != row["ours_extraction"]),
            )
            for row in found
        ]
        yield Grid(
            title=f"{model}: beside published results",
            header=(*NAMES, "intermediate", model),
            rows=tuple(cells),
            names=3,
            legend=(LEGEND, *_notes(found), *(f"[{i + 1}] {source}." for i, source in enumerate(sources))),
        )


def _notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if any(row["ours"] is not None and row["extraction"] != row["ours_extraction"] for row in rows):
        yield EXTRACTION


def comparable(table: pa.Table) -> pa.Table:
    """The rows in which the run has a comparable score."""
    return table.filter(table["ours"].is_valid())
