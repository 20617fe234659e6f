"""Tables in a terminal: cut by columns where they are wider than it."""

from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def blocks(console: Console, columns: Sequence[str], table: Callable[[Sequence[str]], Table]) -> Iterator[Table]:
    """Tables of as many of the columns, in their order, as fit the console; of one at least."""
    block: list[str] = []
    for column in columns:
        if block and not fits(console, table([*block, column])):
            yield table(block)
            block = []
        block.append(column)
    if block:
        yield table(block)


def fits(console: Console, table: Table) -> bool:
    """Whether a table is no wider than the console."""
    unlimited = console.options.update(width=10_000)  # measured in the console's own width, nothing is too wide
    return Measurement.get(console, unlimited, table).maximum <= console.width
