"""Tables as templates read them, and numbers with their place in a table."""

import pyarrow as pa
import pytest

from stilts.show.html.table_rows import ABSENT, TableRows, name, number

ROWS = TableRows.of(
    "summary",
    pa.table({"model": ["a", "a", "b"], "regime": ["none", "mnli", "none"], "difference": [None, -2.5, 1.0]}),
)


def test_rows_are_selected_by_values_of_columns():
    assert [row.index for row in ROWS.where(model="a")] == [0, 1]
    assert [row.index for row in ROWS.where(model=("a", "b"), regime="none")] == [0, 2]
    assert [row.index for row in ROWS.having("difference")] == [1, 2]
    assert [row.index for row in ROWS.lacking("difference")] == [0]
    assert ROWS.unique("model") == ["a", "b"]


def test_one_row_is_found():
    assert ROWS.at(model="a", regime="mnli").index == 1
    assert ROWS.at(model="a").index == 0, "the first"
    assert ROWS.at(model="c") is None
    assert ROWS.largest("difference").index == 1
    assert ROWS.highest("difference").index == 2
    assert ROWS.where(regime="none", model="a").highest("difference") is None


def test_no_table_has_no_rows():
    assert len(TableRows.of("items", None)) == 0


def test_a_number_names_its_place():
    shown = '<data value="-2.5" data-table="summary" data-row="1" data-column="difference">−2.5</data>'
    assert number(ROWS[1], "difference", "difference") == shown
    assert number(ROWS[0], "difference") == number(None, "difference") == ABSENT


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [(1.26, "difference", "+1.3"), (0.0004, "p", "0.001"), (1234567.0, "count", "1,234,567"), (0.5, "plain", "0.5")],
)
def test_forms_of_numbers(value, form, text):
    (row,) = TableRows.of("t", pa.table({"x": [value]}))
    assert text in number(row, "x", form)


def test_a_unit_is_noted():
    (row,) = TableRows.of("stages", pa.table({"bytes": [2_500_000_000]}))
    shown = number(row, "bytes", "hours", per=1e9)
    assert ">2.50<" in shown
    assert 'data-per="1e+09"' in shown
    assert 'value="2.5e+09"' in shown


def test_markup_in_a_name_is_text():
    assert name("<b>") == '<span class="name" translate="no">&lt;b&gt;</span>'
