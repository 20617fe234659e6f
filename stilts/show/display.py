"""Displayed: objects that show themselves on a console, as text and in a notebook."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from stilts.visible import visible

_TEXT_WIDTH = 120
_HTML_WIDTH = 160
_HTML = '<pre style="font-family:Menlo,Consolas,monospace;white-space:pre;overflow-x:auto;line-height:1.3">{code}</pre>'


class SafeConsole(Console):
    """A console that shows control characters of texts (a stored error, a path) as text and sends its own alone."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


class Displayed(ABC):
    """An object with one way of showing itself: `show`. Text and notebooks get the same."""

    @abstractmethod
    def show(self, console: Console) -> None:
        """Print the object on a console."""

    def __str__(self) -> str:
        console = SafeConsole(file=io.StringIO(), record=True, width=_TEXT_WIDTH, force_jupyter=False)
        self.show(console)
        return console.export_text().rstrip()

    def _repr_html_(self) -> str:
        """What a notebook displays."""
        console = SafeConsole(file=io.StringIO(), record=True, width=_HTML_WIDTH, force_jupyter=False)
        self.show(console)
        return console.export_html(inline_styles=True, code_format=_HTML)


def quiet_console() -> Console:
    """A console that prints nothing, for callers that want no progress."""
    return Console(file=io.StringIO(), quiet=True, force_terminal=False, force_jupyter=False)
