"""Tables of text cells, and how they are written to a terminal, as Markdown and as LaTeX.

The other modules of this package convert tables of results to grids. Only this module renders them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from stilts.show.text import escape_latex, escape_markdown

NEEDS = "% Needs \\usepackage{booktabs,graphicx}."
"""First line of a file of LaTeX tables."""

MODEL = "model"
"""Name of the column that a terminal leaves out if all rows are of the same model."""


@dataclass(frozen=True)
class Cell:
    """A cell that is rendered differently in a terminal, Markdown and LaTeX. Other cells are plain strings.

    Attributes:
        lines: the lines of the cell in a terminal. LaTeX prints all but the first in small type.
        styles: a rich style for each line; missing ones count as "".
        markdown: the text in Markdown, before escaping. If None, the lines are joined with "; ".
        latex: the LaTeX source. If None, the lines are escaped.
        strong: whether Markdown prints the cell in bold.
    """

    lines: tuple[str, ...]
    styles: tuple[str, ...] = ()
    markdown: str | None = None
    latex: str | None = None
    strong: bool = False


@dataclass(frozen=True)
class Grid:
    """A table of text with a title, notes and a legend.

    Attributes:
        header: the names of the columns.
        rows: tuples of cells, as long as the header.
        names: number of columns at the left that hold names. The others hold numbers, or the reason why there is none.
        notes: sentences about this grid alone.
        legend: sentences that explain the columns. If consecutive grids have the same legend, it is printed once.
        terminal: sentences that are printed in a terminal only.
        blocks: groups of columns. A table that is too wide for a terminal is split between blocks first, and LaTeX gets
            one table per block. If empty, all columns form one block.
        wrapped: columns whose text may wrap in a terminal.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    names: int
    notes: tuple[str, ...] = ()
    legend: tuple[str, ...] = ()
    terminal: tuple[str, ...] = ()
    blocks: tuple[tuple[str, ...], ...] = ()
    wrapped: tuple[str, ...] = ()


def markdown(grids: Iterable[Grid]) -> str:
    """Render each grid as a second-level section of Markdown: heading, table, notes and legend."""
    return "\n".join(_markdown(grid) for grid in _without_repeated_legends(grids))


def latex(grids: Iterable[Grid]) -> str:
    """Render each grid that has rows as a LaTeX float for `\\input`, whose caption holds the notes and the legend."""
    return "\n".join([NEEDS, *(_latex(grid, columns) for grid in grids if grid.rows for columns in _blocks(grid))])


def show(console: Console, grids: Iterable[Grid]) -> None:
    """Print each grid. A grid that is wider than the console is split into several tables by columns."""
    for grid in _without_repeated_legends(grids):
        console.print(Text(_title(grid), style="bold"))
        for table in _tables(console, grid) if grid.rows else ():
            console.print(table)
        for sentence in (*grid.notes, *grid.legend, *grid.terminal):
            console.print(Text(sentence, style="dim"))
        console.print()


def _title(grid: Grid) -> str:
    """The title, preceded by the model's name if the column of models is left out."""
    return f"{plain(grid.rows[0][0])}; {grid.title}" if _has_one_model(grid) else grid.title


def _has_one_model(grid: Grid) -> bool:
    return grid.header[:1] == (MODEL,) and len({plain(row[0]) for row in grid.rows}) == 1


def plain(cell: Cell | str) -> str:
    """The text of a cell on one line, as Markdown shows it, without escapes."""
    if isinstance(cell, str):
        return cell
    return "; ".join(cell.lines) if cell.markdown is None else cell.markdown


def _without_repeated_legends(grids: Iterable[Grid]) -> Iterator[Grid]:
    found = list(grids)
    for grid, following in zip_longest(found, found[1:]):
        repeated = following is not None and following.legend == grid.legend
        yield replace(grid, legend=()) if repeated else grid


def _blocks(grid: Grid) -> Iterator[tuple[str, ...]]:
    """The columns of each block, without the columns of names."""
    yield from (block for block in grid.blocks or (grid.header[grid.names :],) if block)


# --- Markdown


def _markdown(grid: Grid) -> str:
    parts = [f"## {escape_markdown(grid.title)}", ""]
    if grid.rows:
        alignment = "|---" * grid.names + "|---:" * (len(grid.header) - grid.names) + "|"
        rows = (" | ".join(map(_markdown_cell, row)) for row in grid.rows)
        header = " | ".join(map(escape_markdown, grid.header))
        parts += [f"| {header} |", alignment, *(f"| {row} |" for row in rows), ""]
    return "\n".join([*parts, *(f"{escape_markdown(sentence)}\n" for sentence in (*grid.notes, *grid.legend))])


def _markdown_cell(cell: Cell | str) -> str:
    text = escape_markdown(plain(cell))
    return f"**{text}**" if isinstance(cell, Cell) and cell.strong and text else text


# --- LaTeX


def _latex(grid: Grid, columns: Sequence[str]) -> str:
    """A float with a table that is scaled down if it is wider than the text."""
    shown = _shown(grid, columns)
    lines = ["\\begin{table*}[t]", "\\centering\\small", "\\setlength{\\tabcolsep}{3pt}"]
    lines.append(r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%")
    lines += [f"\\begin{{tabular}}{{{'l' * grid.names}{'r' * (len(shown) - grid.names)}}}", "\\toprule"]
    lines += [" & ".join(escape_latex(grid.header[i]) for i in shown) + r" \\", "\\midrule"]
    lines += [" & ".join(_latex_cell(row[i], i < grid.names) for i in shown) + r" \\" for row in grid.rows]
    caption = " ".join([f"{grid.title}.", *grid.notes, *grid.legend])
    lines += ["\\bottomrule", "\\end{tabular}}", f"\\caption{{{escape_latex(caption)}}}", "\\end{table*}", ""]
    return "\n".join(lines)


def _latex_cell(cell: Cell | str, is_name: bool) -> str:
    if isinstance(cell, str):
        return escape_latex(cell) if is_name else _latex_number(cell)
    if cell.latex is not None:
        return cell.latex
    first, *others = map(_latex_number, cell.lines or ("",))
    return " ".join([first, *(f"{{\\scriptsize {text}}}" for text in others)])


def _latex_number(text: str) -> str:
    """Escape the text and set hyphens before digits as minus signs."""
    return re.sub(r"(?<![\w.])-(?=[\d.])", "$-$", escape_latex(text))


# --- terminal


def _tables(console: Console, grid: Grid) -> Iterator[Table]:
    """One table if it fits the console, otherwise several, each with as many columns as fit and at least one."""
    columns = grid.header[grid.names :]
    whole = _table(grid, columns)
    if _fits(console, whole) or set(grid.wrapped) & set(columns):
        yield whole
        return
    for block in _blocks(grid):
        shown: list[str] = []
        for column in block:
            if shown and not _fits(console, _table(grid, [*shown, column])):
                yield _table(grid, shown)
                shown = []
            shown.append(column)
        yield _table(grid, shown)


def _fits(console: Console, table: Table) -> bool:
    unlimited = console.options.update(width=10_000)  # otherwise rich limits the measured width to the console's
    return Measurement.get(console, unlimited, table).maximum <= console.width


def _table(grid: Grid, columns: Sequence[str]) -> Table:
    shown = _shown(grid, columns)[_has_one_model(grid) :]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for i in shown:
        side = "left" if i < grid.names or grid.header[i] in grid.wrapped else "right"
        table.add_column(grid.header[i], justify=side, no_wrap=grid.header[i] not in grid.wrapped)  # type: ignore[arg-type]
    for row in grid.rows:
        table.add_row(*(_rich_cell(row[i]) for i in shown))
    return table


def _rich_cell(cell: Cell | str) -> Text:
    if isinstance(cell, str):
        return Text(cell)
    styled = zip_longest(cell.lines, cell.styles[: len(cell.lines)], fillvalue="")
    return Text("\n").join(Text(line, style=style) for line, style in styled)


def _shown(grid: Grid, columns: Sequence[str]) -> list[int]:
    """Indices of the columns of names and of the given columns."""
    return [i for i, name in enumerate(grid.header) if i < grid.names or name in columns]
