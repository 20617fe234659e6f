"""Formats numbers as text, converts tables to CSV, and escapes text for Markdown and LaTeX."""

import csv
import io
import re
from typing import Any

import pyarrow as pa

from stilts.statistics.spread import Spread
from stilts.visible import visible


def number(spread: Spread, sign: str = "") -> str:
    """Mean and standard deviation, as `71.3 ±0.8`; `71.3 ±-` for a single observation."""
    return f"{spread.mean:{sign}.1f} ±{'-' if spread.sd is None else f'{spread.sd:.1f}'}"


def interval(low: float | None, high: float | None, sign: str = "", digits: int = 1) -> str:
    """`[70.3, 72.3]`; empty if an end is None."""
    return "" if low is None or high is None else f"[{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def with_interval(
    value: float | None, low: float | None, high: float | None, n: int | None = None, sign: str = ""
) -> str:
    """`54.0 [52.1, 55.9] (n=5)`, without the parts that are None; empty if there is no value."""
    if value is None:
        return ""
    counted = "" if n is None else f"(n={n})"
    return joined(f"{value:{sign}z.1f}", interval(low, high, f"{sign}z"), counted)


def joined(*parts: str) -> str:
    """Join the parts that are not empty with spaces."""
    return " ".join(part for part in parts if part)


def probability(p: float) -> str:
    """A p value with two significant digits: `p=0.23`, `p=0.041`, `p<0.001`."""
    return "p<0.001" if p < 0.001 else f"p={p:.3f}" if p < 0.1 else f"p={p:.2f}"


def to_csv(table: pa.Table) -> str:
    """Convert a table to CSV with every digit. A null is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, table.column_names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _field(value) for name, value in row.items()} for row in table.to_pylist())
    return text.getvalue()


def _field(value: Any) -> Any:
    """A value for CSV. A spreadsheet would run a text that begins like a formula; a quotation mark keeps it text."""
    if not isinstance(value, str):
        return value
    return f"'{visible(value)}" if value.startswith(("=", "+", "-", "@", "\t")) else visible(value)


def escape_markdown(text: str) -> str:
    """Escape the characters that Markdown would read as markup in a table cell."""
    return re.sub(r"([\\|*`<\[])", r"\\\1", visible(text))


_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", "†": r"$\dagger$", **{c: f"\\{c}" for c in "&%$#_{}"},
}  # fmt: skip


def escape_latex(text: str) -> str:
    """Escape the special characters of LaTeX."""
    return "".join(_LATEX.get(character, character) for character in visible(text))
