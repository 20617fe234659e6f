"""What noise costs, as a terminal table, Markdown, LaTeX, CSV and Parquet.

The tables show means over languages, a row for each regime and rate; CSV and Parquet have every language and every
number in full.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from stilts.collect.fit import blocks
from stilts.collect.robustness import Loss, Robustness, robustness
from stilts.collect.scores import MEAN
from stilts.collect.statistics.spread import Spread
from stilts.collect.table import parquet
from stilts.collect.text import escape_latex, escape_markdown, number

LEGEND = (
    "Score under noise; then what it is more or less than on the clean data, in points and in percent of the clean "
    "score, paired by seed. Mean over all languages, ±SD over seeds. Changed: share of the characters."
)

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "target", "model", "intermediate", "noise")),
        ("rate", pa.float64()),
        ("language", pa.string()),
        ("status", pa.string()),
        ("planned", pa.int64()),
        ("changed_share", pa.float64()),
        *((f"{score}{part}", pa.float64()) for score in ("clean", "noisy") for part in ("", "_sd")),
        *((f"loss{unit}{part}", pa.float64()) for unit in ("", "_percent") for part in ("", "_sd")),
        ("n", pa.int64()),
    ]
)
"""A row per split, target, regime, noise, rate and language; `language` is `mean` for the mean over languages. `loss`
is clean less noisy in points, `loss_percent` that of the clean score, `n` the seeds that it is the mean of."""


def robustness_files(table: pa.Table, splits: Sequence[str]) -> dict[str, bytes]:
    """robustness.md, .tex, .csv and .parquet; none where nothing was evaluated under noise."""
    found = [target for split in splits for target in robustness(table, split)]
    if not found:
        return {}
    records = [record for target in found for record in _records(target)]
    return {
        "robustness.md": "\n".join([*map(_markdown, found), LEGEND, ""]).encode(),
        "robustness.tex": "\n".join(["% Needs \\usepackage{booktabs,graphicx}.", *map(_latex, found)]).encode(),
        "robustness.csv": _csv(records).encode(),
        "robustness.parquet": parquet(pa.Table.from_pylist(records, schema=SCHEMA)),
    }


def render_robustness(console: Console, table: pa.Table, splits: Sequence[str]) -> None:
    """Print a table for each target that was evaluated under noise."""
    found = [target for split in splits for target in robustness(table, split)]
    for target in found:
        console.print(Text(f"Noise: {target.title}", style="bold"))
        for block in blocks(console, target.kinds, partial(_rich_table, target)):
            console.print(block)
        for note in _spared(target):
            console.print(Text(note, style="dim"))
    if found:
        console.print(Text(LEGEND, style="dim"))
        console.print()


# --- the cells


def _rows(target: Robustness) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Labels and cells of each row, a cell being lines of text: what changed, then every regime."""
    for rate in target.rates:
        shares = [_changed(target, kind, rate) for kind in target.kinds]
        if any(shares):
            yield ["", "changed", f"{rate:g}"], [[], *([share] if share else [] for share in shares)]
    for row in target.rows:
        for rate in target.rates:
            losses = [target.losses.get((row, (kind, rate), MEAN)) for kind in target.kinds]
            clean = next((loss.clean for loss in losses if loss is not None and loss.clean), None)
            yield [*row, f"{rate:g}"], [[number(clean)] if clean else [], *map(_lines, losses)]


def _changed(target: Robustness, kind: str, rate: float) -> str:
    shares = (target.losses.get((row, (kind, rate), MEAN)) for row in target.rows)
    return next((f"{100 * loss.changed:.1f}%" for loss in shares if loss is not None and loss.changed is not None), "")


def _lines(loss: Loss | None) -> list[str]:
    """`68.9 ±0.7`, `-2.3 ±0.2`, `-3.2%`, as far as they are there, and why they are not."""
    if loss is None:
        return []
    lines = [number(loss.noisy)] if loss.noisy else []
    if loss.points:
        lines.append(number(_minus(loss.points), "+"))
    if loss.percent:
        lines.append(f"{-loss.percent.mean:+.1f}%")
    return lines if loss.status == "ok" else [*lines, loss.status]


def _minus(spread: Spread) -> Spread:
    return Spread(-spread.mean, spread.sd, spread.n)


def _header(target: Robustness) -> list[str]:
    return ["model", "intermediate", "rate", "clean", *target.kinds]


def _spared(target: Robustness) -> list[str]:
    return [f"Hardly changed by {kind}: {', '.join(found)}." for kind, found in target.spared.items() if found]


# --- the forms


def _markdown(target: Robustness) -> str:
    header = _header(target)
    lines = [f"## Noise: {escape_markdown(target.title)}", ""]
    lines += ["| " + " | ".join(map(escape_markdown, header)) + " |", "|---|---|" + "---:|" * (len(header) - 2)]
    for labels, cells in _rows(target):
        lines.append("| " + " | ".join([*map(escape_markdown, labels), *("; ".join(cell) for cell in cells)]) + " |")
    return "\n".join([*lines, "", *(f"{note}\n" for note in _spared(target))])


def _latex(target: Robustness) -> str:
    header = _header(target)
    lines = ["\\begin{table*}[t]", "\\centering\\small", "\\setlength{\\tabcolsep}{3pt}"]
    lines.append(r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%")
    lines += [f"\\begin{{tabular}}{{ll{'r' * (len(header) - 2)}}}", "\\toprule"]
    lines += [" & ".join(map(escape_latex, header)) + r" \\", "\\midrule"]
    for labels, cells in _rows(target):
        lines.append(" & ".join([*map(escape_latex, labels), *map(_latex_cell, cells)]) + r" \\")
    caption = escape_latex(" ".join([f"Noise: {target.title}.", LEGEND, *_spared(target)]))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}}", f"\\caption{{{caption}}}", "\\end{table*}", ""])


def _latex_cell(lines: Sequence[str]) -> str:
    """The score, and in small type what it lost."""
    texts = [escape_latex(line).replace("-", "$-$") if line[0] in "+-" else escape_latex(line) for line in lines]
    return " ".join([*texts[:1], *(f"{{\\scriptsize {text}}}" for text in texts[1:])])


def _rich_table(target: Robustness, kinds: Sequence[str]) -> RichTable:
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


def _records(target: Robustness) -> Iterator[dict[str, Any]]:
    for ((model, intermediate), (kind, rate), column), loss in target.losses.items():
        yield {
            "split": target.split,
            "target": target.target,
            "model": model,
            "intermediate": intermediate,
            "noise": kind,
            "rate": rate,
            "language": column,
            "status": loss.status,
            "planned": loss.planned,
            "changed_share": loss.changed,
            **_numbers("clean", loss.clean),
            **_numbers("noisy", loss.noisy),
            **_numbers("loss", loss.points),
            **_numbers("loss_percent", loss.percent),
            "n": 0 if loss.points is None else loss.points.n,
        }


def _numbers(name: str, spread: Spread | None) -> dict[str, float | None]:
    return {} if spread is None else {name: spread.mean, f"{name}_sd": spread.sd}


def _csv(records: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, SCHEMA.names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
