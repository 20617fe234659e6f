"""Frame: an analysis table as templates read it, and the one way in which a number of it reaches the page.

Invariant: a number is written as `<data value=... data-table=... data-row=... data-column=...>`, so that everything
that is shown can be traced to its place in the Parquet file of that name; what has no value is a word.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from markupsafe import Markup, escape

MINUS = "\N{MINUS SIGN}"

ABSENT = Markup('<span class="absent">n/a</span>')


class Row(Mapping[str, Any]):
    """One row, which knows its place in its table."""

    def __init__(self, table: str, index: int, values: Mapping[str, Any]) -> None:
        self.table, self.index, self._values = table, index, values

    def __getitem__(self, column: str) -> Any:
        return self._values[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Frame(Sequence[Row]):
    """Rows of a table, all or some of them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._indexes: dict[tuple[str, ...], dict[tuple[Any, ...], Row]] = {}

    @classmethod
    def of(cls, name: str, table: pa.Table | None) -> "Frame":
        """All rows of a table; none where there is no table."""
        rows = [] if table is None else table.to_pylist()
        return cls([Row(name, index, values) for index, values in enumerate(rows)])

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def where(self, **values: Any) -> "Frame":
        """The rows with these values; a list or tuple stands for any of its members."""
        wanted = {name: value if isinstance(value, list | tuple) else (value,) for name, value in values.items()}
        return Frame([row for row in self if all(row[name] in value for name, value in wanted.items())])

    def having(self, column: str) -> "Frame":
        """The rows in which a column has a value."""
        return Frame([row for row in self if row[column] is not None])

    def lacking(self, column: str) -> "Frame":
        """The rows in which a column has none."""
        return Frame([row for row in self if row[column] is None])

    def at(self, **values: Any) -> Row | None:
        """The first row with these values."""
        columns = tuple(values)
        if columns not in self._indexes:
            self._indexes[columns] = {tuple(row[name] for name in columns): row for row in reversed(self._rows)}
        return self._indexes[columns].get(tuple(values.values()))

    def unique(self, column: str) -> list[Any]:
        """The values of a column, in the order in which they come."""
        return list(dict.fromkeys(row[column] for row in self))

    def largest(self, column: str) -> Row | None:
        """The row with the largest absolute value of a column; None where there is none."""
        return max(self.having(column), key=lambda row: abs(row[column]), default=None)

    def highest(self, column: str) -> Row | None:
        """The row with the highest value of a column; None where there is none."""
        return max(self.having(column), key=lambda row: row[column], default=None)


def _p(value: float) -> str:
    return "<\N{NO-BREAK SPACE}0.001" if value < 0.001 else f"{value:.3f}"


_FORMS: dict[str, Callable[[Any], str]] = {
    "score": lambda value: f"{value:.1f}",
    "difference": lambda value: f"{value:+.1f}",
    "p": _p,
    "correlation": lambda value: f"{value:+.2f}",
    "share": lambda value: f"{value:.0f}",
    "count": lambda value: f"{value:,.0f}",
    "hours": lambda value: f"{value:,.2f}",
    "plain": lambda value: f"{value:g}",
}


def number(row: Row | None, column: str, form: str = "score", per: float = 1.0) -> Markup:
    """A number of a table, formatted, with its place; a word where there is none.

    Args:
        per: the unit that is shown, in the table's unit (`1e9` shows bytes as gigabytes).
    """
    value = None if row is None else row[column]
    if row is None or value is None:
        return ABSENT
    text = _FORMS[form](value / per).replace("-", MINUS)
    per_attribute = Markup(' data-per="{}"').format(f"{per:g}") if per != 1 else ""
    return Markup('<data value="{}" data-table="{}" data-row="{}" data-column="{}"{}>{}</data>').format(
        f"{value:.7g}", row.table, row.index, column, per_attribute, text
    )


def name(text: str) -> Markup:
    """A name of the experiment (regime, target, language, stage): nothing to be translated, nor a number."""
    return Markup('<span class="name" translate="no">{}</span>').format(escape(text))
