"""Displays the table `robustness`: scores under noise next to the scores on clean data.

The grids show means over languages, with one row per regime and rate of the noise. The CSV file has every language.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.aggregate import row_order, title
from stilts.results.scores import MEAN, ModelRegime
from stilts.show.grid import MODEL, Cell, Grid
from stilts.show.text import interval, number
from stilts.statistics.spread import Spread

LEGEND = (
    "Score under noise; then its difference to the score on the clean data, in points and in percent of the clean "
    "score, paired by seed. Mean over all languages, ±SD over seeds. Changed: share of the characters."
)

SPARED = 0.1
"""A language is listed as hardly changed by a kind of noise if the fraction of its characters that the noise changes is
less than SPARED times that of the language that the noise changes most."""

_STYLES = {"-": "red", "+": "green"}

Loss = Mapping[str, Any]
"""A row of the table `robustness`."""


@dataclass(frozen=True)
class _Target:
    """One target on one split.

    Attributes:
        rows: (model, regime) pairs, the baseline of each model first.
        losses: the rows of means over languages, by ((model, regime), kind, rate).
        spared: kind of noise -> languages that it hardly changed at any rate (see `SPARED`).
    """

    title: str
    rows: tuple[ModelRegime, ...]
    kinds: tuple[str, ...]
    rates: tuple[float, ...]
    losses: Mapping[tuple[ModelRegime, str, float], Loss]
    spared: Mapping[str, Sequence[str]]


def robustness_grids(results: pa.Table, robustness: pa.Table, *, brief: bool = False) -> Iterator[Grid]:
    """A grid of scores for each target evaluated under noise and, unless `brief`, one of losses less the baseline's."""
    for target in _targets(results, robustness):
        yield _losses(target)
        compared = tuple(_compared(target))
        if compared and not brief:
            against = f"points lost more than with the intermediate {_baseline(target)}, paired by seed"
            header = (MODEL, "intermediate", "rate", *target.kinds)
            yield Grid(f"Noise: {target.title}: {against}", header, compared, names=2)


def _targets(results: pa.Table, robustness: pa.Table) -> list[_Target]:
    rows = robustness.to_pylist()
    found = []
    for split, target in dict.fromkeys((row["split"], row["target"]) for row in rows):
        mine = [row for row in rows if (row["split"], row["target"]) == (split, target)]
        means = [row for row in mine if row["language"] == MEAN]
        clean = results.filter((pc.field("target") == target) & (pc.field("split") == split)).to_pylist()
        found.append(
            _Target(
                title=title(clean, target, split),
                rows=row_order(mine),
                kinds=tuple(dict.fromkeys(row["noise"] for row in mine)),
                rates=tuple(sorted({row["rate"] for row in mine})),
                losses={((row["model"], row["intermediate"]), row["noise"], row["rate"]): row for row in means},
                spared=_spared(pd.DataFrame([row for row in mine if row["language"] != MEAN])),
            )
        )
    return found


def _spared(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Kind of noise -> languages that it hardly changed (see SPARED), without languages of unknown `changed_share`."""
    shares = rows["changed_share"].astype(float)
    most = shares.groupby([rows["noise"], rows["rate"]]).transform("max")
    touched = (shares.isna() | (shares > SPARED * most)).groupby([rows["noise"], rows["language"]], sort=False).any()
    return {
        kind: [language for _, language in found[~found].index] for kind, found in touched.groupby(level=0, sort=False)
    }


# --- the cells


def _losses(target: _Target) -> Grid:
    return Grid(
        title=f"Noise: {target.title}",
        header=(MODEL, "intermediate", "rate", "clean", *target.kinds),
        rows=tuple(_rows(target)),
        names=2,
        notes=tuple(f"Hardly changed by {kind}: {', '.join(found)}." for kind, found in target.spared.items() if found),
        legend=(LEGEND,),
    )


def _rows(target: _Target) -> Iterator[tuple[Cell | str, ...]]:
    """For every rate the fraction of characters that the noise changed, then for every regime and rate its scores."""
    model = target.rows[0][0] if len({model for model, _ in target.rows}) == 1 else ""
    for rate in target.rates:
        shares = [_changed(target, kind, rate) for kind in target.kinds]
        if any(shares):
            yield (model, "changed", f"{rate:g}", "", *shares)
    for row in target.rows:
        for rate in target.rates:
            losses = [target.losses.get((row, kind, rate)) for kind in target.kinds]
            clean = next((loss for loss in losses if loss is not None and loss["clean"] is not None), None)
            yield (*row, f"{rate:g}", _score(clean, "clean") if clean else "", *map(_cell, losses))


def _compared(target: _Target) -> Iterator[tuple[Cell | str, ...]]:
    """One row per regime and rate whose losses are compared with the baseline's."""
    for row in target.rows:
        for rate in target.rates:
            losses = [target.losses.get((row, kind, rate)) for kind in target.kinds]
            cells = [_difference(loss) for loss in losses]
            if any(cells):
                yield (*row, f"{rate:g}", *cells)


def _difference(loss: Loss | None) -> str:
    """`-0.4 [-1.0, +0.2]`; empty if no seed can be paired."""
    if loss is None or loss["loss_difference"] is None:
        return ""
    bounds = interval(loss["loss_difference_low"], loss["loss_difference_high"], "+")
    return f"{loss['loss_difference']:+.1f} {bounds}".strip()


def _changed(target: _Target, kind: str, rate: float) -> str:
    losses = (target.losses.get((row, kind, rate)) for row in target.rows)
    shares = (None if loss is None else loss["changed_share"] for loss in losses)
    return next((f"{100 * share:.1f}%" for share in shares if share is not None), "")


def _cell(loss: Loss | None) -> Cell | str:
    """A cell of the lines `68.9 ±0.7`, `-2.3 ±0.2` and `-3.2%`, as far as known, and the status unless it is ok."""
    if loss is None:
        return ""
    lines = [_score(loss, "noisy")] if loss["noisy"] is not None else []
    if loss["loss"] is not None:
        lines.append(number(Spread(-loss["loss"], loss["loss_sd"], loss["n"]), "+"))
    if loss["loss_percent"] is not None:
        lines.append(f"{-loss['loss_percent']:+.1f}%")
    lines += [] if loss["status"] == "ok" else [loss["status"]]
    return Cell(tuple(lines), tuple(_STYLES.get(line[0], "") for line in lines))


def _score(loss: Loss, name: str) -> str:
    return number(Spread(loss[name], loss[f"{name}_sd"], loss["n"]))


def _baseline(target: _Target) -> str:
    return next(loss["baseline"] for loss in target.losses.values() if loss["loss_difference"] is not None)
