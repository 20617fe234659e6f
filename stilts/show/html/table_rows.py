"""Gives templates access to the tables of an experiment, and writes their numbers into the page.

`number` is the only way in which a number of a table enters the page. It writes
`<data value=... data-table=... data-row=... data-column=...>`, so that every number can be traced to its place in the
Parquet file of that table. A missing value is written as a word.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from markupsafe import Markup, escape

MINUS = "\N{MINUS SIGN}"

ABSENT = Markup('<span class="absent">n/a</span>')


class TableRow(Mapping[str, Any]):
    """One row of a table, as a mapping from columns to values. It knows the table's name and its own index there."""

    def __init__(self, table: str, index: int, values: Mapping[str, Any]) -> None:
        self.table, self.index, self._values = table, index, values

    def __getitem__(self, column: str) -> Any:
        return self._values[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class TableRows(Sequence[TableRow]):
    """All rows of a table, or a selection of them. Templates filter and search it."""

    def __init__(self, rows: Sequence[TableRow]) -> None:
        self._rows = rows
        self._indexes: dict[tuple[str, ...], dict[tuple[Any, ...], TableRow]] = {}

    @classmethod
    def of(cls, name: str, table: pa.Table | None) -> "TableRows":
        """All rows of a table; no rows if the table is None."""
        rows = [] if table is None else table.to_pylist()
        return cls([TableRow(name, index, values) for index, values in enumerate(rows)])

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def where(self, **values: Any) -> "TableRows":
        """The rows whose columns have these values. A list or tuple matches each of its members."""
        wanted = {name: value if isinstance(value, list | tuple) else (value,) for name, value in values.items()}
        return TableRows([row for row in self if all(row[name] in value for name, value in wanted.items())])

    def having(self, column: str) -> "TableRows":
        """The rows in which the column is not null."""
        return TableRows([row for row in self if row[column] is not None])

    def lacking(self, column: str) -> "TableRows":
        """The rows in which the column is null."""
        return TableRows([row for row in self if row[column] is None])

    def at(self, **values: Any) -> TableRow | None:
        """The first row whose columns have these values; None if there is none. The lookup uses an index."""
        columns = tuple(values)
        if columns not in self._indexes:
            self._indexes[columns] = {tuple(row[name] for name in columns): row for row in reversed(self._rows)}
        return self._indexes[columns].get(tuple(values.values()))

    def unique(self, column: str) -> list[Any]:
        """The different values of a column, in the order of their first row."""
        return list(dict.fromkeys(row[column] for row in self))

    def largest(self, column: str) -> TableRow | None:
        """The row with the largest absolute value of a column; None if the column is null in all rows."""
        return max(self.having(column), key=lambda row: abs(row[column]), default=None)

    def highest(self, column: str) -> TableRow | None:
        """The row with the highest value of a column; None if the column is null in all rows."""
        return max(self.having(column), key=lambda row: row[column], default=None)


def _p(value: float) -> str:
    return "<\N{NO-BREAK SPACE}0.001" if value < 0.001 else f"{value:.3f}"


_FORMS: dict[str, Callable[[Any], str]] = {
    "score": lambda value: f"{value:.1f}",
    "difference": lambda value: f"{value:+.1f}",
    "p": _p,
    "correlation": lambda value: f"{value:+.2f}",
    "share": lambda value: f"{value:.0f}",
    "ratio": lambda value: f"{value:.2f}",
    "count": lambda value: f"{value:,.0f}",
    "hours": lambda value: f"{value:,.2f}",
    "plain": lambda value: f"{value:g}",
}


def number(row: TableRow | None, column: str, form: str = "score", per: float = 1.0) -> Markup:
    """Format a number of a table, with attributes that name its place in the table; `n/a` if it is missing.

    Args:
        form: a key of _FORMS.
        per: size of the displayed unit in the table's unit, as `1e9` to show bytes as gigabytes.
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
    """Mark up a name of the experiment (regime, target, language, stage), so that browsers do not translate it."""
    return Markup('<span class="name" translate="no">{}</span>').format(escape(text))
