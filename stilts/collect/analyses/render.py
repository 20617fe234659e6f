"""The analyses in a terminal and as files."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from stilts.collect.analyses.section import Section, latex, markdown, show
from stilts.collect.analyses.show_best import best_sections
from stilts.collect.analyses.show_published import comparable, published_sections
from stilts.collect.analyses.show_similarity import similarity_sections
from stilts.collect.analyses.similarity import ALL
from stilts.collect.forms import NEEDS, to_csv

_SECTIONS = {"best": best_sections, "published": published_sections, "similarity": similarity_sections}


def analysis_files(tables: Mapping[str, pa.Table]) -> dict[str, bytes]:
    """NAME.md, NAME.tex and NAME.csv of `best`, `published` and `similarity`; none of a table without rows."""
    files: dict[str, bytes] = {}
    for name, sections in _SECTIONS.items():
        found = list(sections(tables[name]))
        if found:
            files |= {
                f"{name}.md": "\n".join(map(markdown, found)).encode(),
                f"{name}.tex": "\n".join([NEEDS, *map(latex, found)]).encode(),
                f"{name}.csv": to_csv(tables[name]).encode(),
            }
    return files


def render_analyses(console: Console, tables: Mapping[str, pa.Table]) -> None:
    """Print what was chosen, the similarity over all targets, and published numbers where the run has one beside."""
    similarity = tables["similarity"]
    sections: list[Section] = [
        *best_sections(tables["best"]),
        *similarity_sections(similarity.filter(pc.field("target") == ALL)),
        *published_sections(comparable(tables["published"])),
    ]
    for section in sections:
        show(console, section)
