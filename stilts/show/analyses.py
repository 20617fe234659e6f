"""The analyses in a terminal and as files."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from stilts.results.similarity.similarity import ALL
from stilts.show.best import best_sections
from stilts.show.forms import NEEDS, to_csv
from stilts.show.published import comparable, published_sections
from stilts.show.section import latex, markdown, show
from stilts.show.similarity import similarity_sections

_SECTIONS = {"best": best_sections, "published": published_sections, "similarity": similarity_sections}


def analysis_files(tables: Mapping[str, pa.Table]) -> dict[str, bytes]:
    """NAME.md, .tex and .csv of those of `best`, `published` and `similarity` that are there and have rows."""
    files: dict[str, bytes] = {}
    for name, sections in _SECTIONS.items():
        found = list(sections(tables[name])) if name in tables else []
        if found:
            files |= {
                f"{name}.md": "\n".join(map(markdown, found)).encode(),
                f"{name}.tex": "\n".join([NEEDS, *map(latex, found)]).encode(),
                f"{name}.csv": to_csv(tables[name]).encode(),
            }
    return files


def render_analyses(console: Console, tables: Mapping[str, pa.Table]) -> None:
    """Print what was chosen, the similarity over all targets, and published numbers where the run has one beside."""
    shown = dict(tables)
    if "similarity" in shown:
        shown["similarity"] = shown["similarity"].filter(pc.field("target") == ALL)
    if "published" in shown:
        shown["published"] = comparable(shown["published"])
    for name, sections in _SECTIONS.items():
        found = list(sections(shown[name])) if name in shown else []
        for section, following in zip_longest(found, found[1:]):
            said_again = following is not None and following.below == section.below
            show(console, replace(section, below=()) if said_again else section)
