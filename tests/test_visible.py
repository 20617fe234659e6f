"""Control characters as text, in every form of output."""

import io

import pyarrow as pa
from rich.table import Table

from stilts.show.display import SafeConsole
from stilts.show.html.page import _shown
from stilts.show.text import escape_latex, escape_markdown, to_csv
from stilts.visible import bounded, visible

HOSTILE = "a\x1b]52;c;x\x07b\x9bc\u202ed\u2066e\x7f"


def test_every_active_character_is_shown() -> None:
    assert visible(HOSTILE) == r"a\x1b]52;c;x\x07b\x9bc\u202ed\u2066e\x7f"
    assert visible("tab\tline\nالعربية ไทย 😀") == "tab\tline\nالعربية ไทย 😀"


def test_tables_markdown_latex_csv_and_html() -> None:
    out = io.StringIO()
    table = Table("column")
    table.add_row(HOSTILE)
    SafeConsole(file=out, width=120, force_terminal=True).print(table)
    table = pa.table({"error": [HOSTILE, "=HYPERLINK(1)"], "n": [-1, 2]})
    shown = [out.getvalue(), escape_markdown(HOSTILE), escape_latex(HOSTILE), to_csv(table), _shown(HOSTILE)]
    for text in shown:
        assert not set("\x07\x9b\u202e\u2066\x7f") & set(text)
        assert "\x1b]" not in text
    assert "'=HYPERLINK" in shown[3]
    assert ",-1\n" in shown[3]


def test_long_messages_are_cut() -> None:
    assert len(bounded("x" * 10**6)) < 2_100
    assert len(bounded("x\n" * 10**6)) < 1_000
    assert bounded("short\nlines") == "short\nlines"
