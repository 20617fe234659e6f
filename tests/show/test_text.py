"""Numbers as text, tables as CSV, and escapes."""

import csv
import io

import pyarrow as pa
import pytest

from stilts.show.text import (
    escape_latex,
    escape_markdown,
    interval,
    joined,
    number,
    probability,
    to_csv,
    with_interval,
)
from stilts.statistics.spread import Spread


def test_a_mean_has_its_deviation_or_a_dash():
    assert number(Spread(71.25, 0.84, 5)) == "71.2 ±0.8"
    assert number(Spread(1.0, None, 1), "+") == "+1.0 ±-"


def test_an_interval_needs_both_ends():
    assert interval(70.3, 72.34) == "[70.3, 72.3]"
    assert interval(-0.4, 1.0, "+", digits=2) == "[-0.40, +1.00]"
    assert interval(None, 1.0) == interval(1.0, None) == ""


def test_a_value_with_its_interval_and_number():
    assert with_interval(54.0, 52.1, 55.9, 5) == "54.0 [52.1, 55.9] (n=5)"
    assert with_interval(-0.04, None, None, sign="+") == "+0.0", "no negative zero"
    assert with_interval(None, 1.0, 2.0, 3) == ""
    assert joined("a", "", "b") == "a b"


@pytest.mark.parametrize(("p", "text"), [(0.23, "p=0.23"), (0.041, "p=0.041"), (0.0004, "p<0.001"), (1.0, "p=1.00")])
def test_probabilities(p, text):
    assert probability(p) == text


def test_csv_has_every_digit_and_empty_fields_for_nulls():
    table = pa.table({"name": ["a,b", None], "value": [0.1 + 0.2, None]})
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert rows == [{"name": "a,b", "value": "0.30000000000000004"}, {"name": "", "value": ""}]


def test_escapes():
    assert escape_markdown("a|b *c* [d] <e>") == r"a\|b \*c\* \[d] \<e>"
    assert escape_latex(r"50_% \x ±") == r"50\_\% \textbackslash{}x $\pm$"
