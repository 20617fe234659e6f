"""What noise costs, as a terminal table, Markdown, LaTeX and CSV.

The tables show means over languages, a row for each regime and rate; CSV has every language and every number in full.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from stilts.results.aggregate import row_order, title
from stilts.results.scores import MEAN, Row
from stilts.show.columns import blocks
from stilts.show.forms import NEEDS, latex_table, markdown_table, to_csv
from stilts.show.text import escape_latex, escape_markdown, interval, number
from stilts.statistics.spread import Spread

LEGEND = (
    "Score under noise; then what it is more or less than on the clean data, in points and in percent of the clean "
    "score, paired by seed. Mean over all languages, ±SD over seeds. Changed: share of the characters."
)

SPARED = 0.1
"""Of the share that a kind changes of the language it changes most: a language with less of it is named."""

Loss = Mapping[str, Any]
"""A row of the table."""


@dataclass(frozen=True)
class _Target:
    """One target on one split.

    Attributes:
        rows: regimes, the baseline of each model first.
        losses: of means over languages, by (regime, kind, rate).
        spared: kind -> languages that it changed no more than SPARED at any rate.
    """

    title: str
    rows: tuple[Row, ...]
    kinds: tuple[str, ...]
    rates: tuple[float, ...]
    losses: Mapping[tuple[Row, str, float], Loss]
    spared: Mapping[str, Sequence[str]]


def robustness_files(results: pa.Table, robustness: pa.Table) -> dict[str, bytes]:
    """robustness.md, .tex and .csv; none where nothing was evaluated under noise."""
    found = _targets(results, robustness)
    if not found:
        return {}
    return {
        "robustness.md": "\n".join([*map(_markdown, found), LEGEND, ""]).encode(),
        "robustness.tex": "\n".join([NEEDS, *map(_latex, found)]).encode(),
        "robustness.csv": to_csv(robustness).encode(),
    }


def render_robustness(console: Console, results: pa.Table, robustness: pa.Table) -> None:
    """Print a table for each target that was evaluated under noise."""
    found = _targets(results, robustness)
    for target in found:
        console.print(Text(f"Noise: {target.title}", style="bold"))
        for block in blocks(console, target.kinds, partial(_rich_table, target)):
            console.print(block)
        for note in _spared_notes(target):
            console.print(Text(note, style="dim"))
    if found:
        console.print(Text(LEGEND, style="dim"))
        console.print()


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
                spared=_spared([row for row in mine if row["language"] != MEAN]),
            )
        )
    return found


def _spared(rows: Iterable[Loss]) -> dict[str, list[str]]:
    """Kind -> languages that it hardly changed; where that is not known of one, it is not named."""
    shares: dict[tuple[str, float], dict[str, float | None]] = {}
    for row in rows:
        shares.setdefault((row["noise"], row["rate"]), {})[row["language"]] = row["changed_share"]
    touched: dict[str, dict[str, bool]] = {}
    for (kind, _), by_language in shares.items():
        most = max((share for share in by_language.values() if share is not None), default=0.0)
        known = touched.setdefault(kind, {})
        for language, share in by_language.items():
            known[language] = known.get(language, False) or share is None or share > SPARED * most
    return {kind: [language for language, much in found.items() if not much] for kind, found in touched.items()}


# --- the cells


def _rows(target: _Target) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Labels and cells of each row, a cell being lines of text: what changed, then every regime."""
    for rate in target.rates:
        shares = [_changed(target, kind, rate) for kind in target.kinds]
        if any(shares):
            yield ["", "changed", f"{rate:g}"], [[], *([share] if share else [] for share in shares)]
    for row in target.rows:
        for rate in target.rates:
            losses = [target.losses.get((row, kind, rate)) for kind in target.kinds]
            clean = next((loss for loss in losses if loss is not None and loss["clean"] is not None), None)
            yield [*row, f"{rate:g}"], [[_score(clean, "clean")] if clean else [], *map(_lines, losses)]


def _compared(target: _Target) -> Iterator[tuple[list[str], list[str]]]:
    """Labels and cells of the rows whose losses are compared to a baseline's."""
    for row in target.rows:
        for rate in target.rates:
            losses = [target.losses.get((row, kind, rate)) for kind in target.kinds]
            cells = [_difference(loss) for loss in losses]
            if any(cells):
                yield [*row, f"{rate:g}"], cells


def _difference(loss: Loss | None) -> str:
    """`-0.4 [-1.0, +0.2]`, or nothing where nothing can be paired."""
    if loss is None or loss["loss_difference"] is None:
        return ""
    bounds = interval(loss["loss_difference_low"], loss["loss_difference_high"], "+")
    return f"{loss['loss_difference']:+.1f} {bounds}".strip()


def _changed(target: _Target, kind: str, rate: float) -> str:
    losses = (target.losses.get((row, kind, rate)) for row in target.rows)
    shares = (None if loss is None else loss["changed_share"] for loss in losses)
    return next((f"{100 * share:.1f}%" for share in shares if share is not None), "")


def _lines(loss: Loss | None) -> list[str]:
    """`68.9 ±0.7`, `-2.3 ±0.2`, `-3.2%`, as far as they are there, and why they are not."""
    if loss is None:
        return []
    lines = [_score(loss, "noisy")] if loss["noisy"] is not None else []
    if loss["loss"] is not None:
        lines.append(number(Spread(-loss["loss"], loss["loss_sd"], loss["n"]), "+"))
    if loss["loss_percent"] is not None:
        lines.append(f"{-loss['loss_percent']:+.1f}%")
    return lines if loss["status"] == "ok" else [*lines, loss["status"]]


def _score(loss: Loss, name: str) -> str:
    return number(Spread(loss[name], loss[f"{name}_sd"], loss["n"]))


def _header(target: _Target) -> list[str]:
    return ["model", "intermediate", "rate", "clean", *target.kinds]


def _spared_notes(target: _Target) -> list[str]:
    return [f"Hardly changed by {kind}: {', '.join(found)}." for kind, found in target.spared.items() if found]


def _baseline(target: _Target) -> str:
    return next(loss["baseline"] for loss in target.losses.values() if loss["loss_difference"] is not None)


# --- the forms


def _markdown(target: _Target) -> str:
    rows = [[*labels, *("; ".join(cell) for cell in cells)] for labels, cells in _rows(target)]
    lines = [f"## Noise: {escape_markdown(target.title)}", "", *markdown_table(_header(target), rows, 2)]
    compared = [[*labels, *cells] for labels, cells in _compared(target)]
    if compared:
        lines += [
            "",
            f"Points lost more than with the intermediate {escape_markdown(_baseline(target))}, paired by seed:",
        ]
        lines += ["", *markdown_table([*_header(target)[:3], *target.kinds], compared, 2)]
    return "\n".join([*lines, "", *(f"{note}\n" for note in _spared_notes(target))])


def _latex(target: _Target) -> str:
    rows = [[*labels, *map(_latex_cell, cells)] for labels, cells in _rows(target)]
    caption = " ".join([f"Noise: {target.title}.", LEGEND, *_spared_notes(target)])
    return latex_table(_header(target), rows, 2, caption)


def _latex_cell(lines: Sequence[str]) -> str:
    """The score, and in small type what it lost."""
    texts = [escape_latex(line).replace("-", "$-$") if line[0] in "+-" else escape_latex(line) for line in lines]
    return " ".join([*texts[:1], *(f"{{\\scriptsize {text}}}" for text in texts[1:])])


def _rich_table(target: _Target, kinds: Sequence[str]) -> RichTable:
    target = replace(target, kinds=tuple(kinds))
    several = len({model for model, _ in target.rows}) > 1
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for column, name in enumerate(_header(target)):
        if several or name != "model":
            table.add_column(name, justify="left" if column < 2 else "right", no_wrap=True)
    for labels, cells in _rows(target):
        shown = labels if several else labels[1:]
        table.add_row(*map(Text, shown), *(_rich_cell(cell) for cell in cells))
    return table


def _rich_cell(lines: Iterable[str]) -> Text:
    return Text("\n").join(Text(line, style=_STYLES.get(line[0], "")) for line in lines)


_STYLES = {"-": "red", "+": "green"}
