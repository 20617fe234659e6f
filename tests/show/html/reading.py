"""Reads a report as a person's browser would: its numbers with their places, and the digits that have none."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "input", "br", "link", "img", "hr"}
SILENT = {"svg", "code", "pre", "style", "script", "title"}
"""Elements whose digits are no numbers of results: names, charts, texts."""
WORDS = re.compile(r"95 %|80 %|50 %|5 %|0\.05")
"""Phrases of the page's own text."""


@dataclass(frozen=True)
class Number:
    """One number as it stands on the page."""

    table: str
    row: int
    column: str
    per: float
    value: float
    text: str


@dataclass
class Reading(HTMLParser):
    """A parsed page.

    Attributes:
        numbers: all of them, in order.
        stray: texts with digits, in sections with results, that are neither numbers with a place nor names.
        external: addresses that a browser would fetch.
    """

    html: str
    numbers: list[Number] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    external: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.ids += [attributes["id"] or ""] if "id" in attributes else []
        for name in ("src", "href", "srcset", "action", "data"):
            target = attributes.get(name) or ""
            if target.startswith("#"):
                self.links.append(target[1:])
            elif target:
                self.external.append(target)
        if tag not in VOID:
            self._open.append((tag, attributes))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self._open:
            return
        tag, attributes = self._open[-1]
        if tag == "data":
            self.numbers.append(
                Number(
                    attributes["data-table"] or "",
                    int(attributes["data-row"] or -1),
                    attributes["data-column"] or "",
                    float(attributes.get("data-per") or 1),
                    float(attributes["value"] or "nan"),
                    data,
                )
            )
        elif re.search(r"\d", WORDS.sub("", data)) and self._in_results() and not self._is_name():
            self.stray.append(data.strip())

    def _in_results(self) -> bool:
        return any(tag == "section" and "data-results" in attributes for tag, attributes in self._open)

    def _is_name(self) -> bool:
        return any(tag in SILENT or attributes.get("translate") == "no" for tag, attributes in self._open)


def parse(text: str) -> tuple[float, float]:
    """Parse a number as the page writes it; returns the number and half a unit of its last digit."""
    plain = text.replace("\N{MINUS SIGN}", "-").replace(",", "").strip()
    decimals = len(plain.partition(".")[2])
    return float(plain), 0.5 * 10**-decimals
