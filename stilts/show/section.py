"""A section: a title, a table of text, and what there is to say below it, in a terminal, as Markdown and as LaTeX."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from stilts.show.columns import blocks
from stilts.show.forms import latex_table, markdown_table
from stilts.show.text import escape_latex, escape_markdown


@dataclass(frozen=True)
class Section:
    """One table to be shown.

    Attributes:
        header, rows: plain text; every row is as long as the header.
        names: how many columns, from the first, are names; the others are numbers, or say why there is none.
        below: sentences.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int
    below: tuple[str, ...] = ()


def markdown(section: Section) -> str:
    """A second-level heading, the table if it has rows, and the sentences."""
    rows = [(*row[: section.names], *map(escape_markdown, row[section.names :])) for row in section.rows]
    table = [*markdown_table(section.header, rows, section.names), ""] if rows else []
    below = [f"{escape_markdown(sentence)}\n" for sentence in section.below]
    return "\n".join([f"## {escape_markdown(section.title)}", "", *table, *below])


def latex(section: Section) -> str:
    """A float for `\\input`; nothing where the table has no rows. Needs booktabs and graphicx."""
    rows = [(*row[: section.names], *map(_latex_cell, row[section.names :])) for row in section.rows]
    caption = " ".join([f"{section.title}.", *section.below])
    return latex_table(section.header, rows, section.names, caption) if rows else ""


def show(console: Console, section: Section) -> None:
    """Print it, cut by columns where it is wider than the console."""
    console.print(Text(section.title, style="bold"))
    if section.rows:
        for block in blocks(console, section.header[section.names :], lambda columns: _rich_table(section, columns)):
            console.print(block)
    for sentence in section.below:
        console.print(Text(sentence, style="dim"))
    console.print()


def _rich_table(section: Section, columns: Sequence[str]) -> RichTable:
    """The names, and these of the other columns."""
    shown = [i for i, name in enumerate(section.header) if i < section.names or name in columns]
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for i in shown:
        table.add_column(section.header[i], justify="left" if i < section.names else "right", no_wrap=True)
    for row in section.rows:
        table.add_row(*(Text(row[i]) for i in shown))
    return table


def _latex_cell(text: str) -> str:
    """Numbers with a minus that is one."""
    return re.sub(r"(?<![\w.])-(?=[\d.])", "$-$", escape_latex(text))
