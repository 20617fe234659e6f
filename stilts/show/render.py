"""Results as files and on a terminal.

Invariants: every form is made of the same tables, so that they agree; a number that is not there is a word, never a
zero; a standard deviation of one observation is `-`. CSV and Parquet are meant for machines: they have every number in
full.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.text import Text

from stilts.results.aggregate import ended
from stilts.results.analyse import Tables
from stilts.results.summary import language_summaries, summaries
from stilts.results.table import benchmark_of, parquet
from stilts.show.analyses import analysis_files, render_analyses
from stilts.show.forms import NEEDS, to_csv
from stilts.show.items import items_files, render_items
from stilts.show.learning import render_selection, selection_files
from stilts.show.robustness import render_robustness, robustness_files
from stilts.show.study import print_study, study_grids, study_latex, study_markdown
from stilts.show.summary import latex, markdown, print_summary
from stilts.show.text import escape_markdown
from stilts.storage.local import LocalStore


def write_results(folder: Path, tables: Tables) -> list[Path]:
    """Write NAME.parquet of every table, each atomically, and for people table.md, .csv and .tex, study.csv,
    variance.csv, languages-TARGET.md and .csv, and .md, .csv and mostly .tex of what there is of items (regimes by
    language, over test items), the analyses, selection (of checkpoints) and robustness."""
    results, grids = tables["results"], _grids(tables)
    found = summaries(results, tables["summary"])
    sections = [*map(markdown, found), *map(study_markdown, grids), *_ended_section(results)]
    files = {f"{name}.parquet": parquet(table) for name, table in tables.items()}
    files |= {
        "table.md": "\n".join(sections).encode(),
        "table.tex": "\n".join([NEEDS, *map(latex, found), *map(study_latex, grids)]).encode(),
        "table.csv": to_csv(tables["summary"]).encode(),
        "study.csv": to_csv(tables["study"]).encode(),
        "variance.csv": to_csv(tables["variance"]).encode(),
    }
    for target in pc.unique(tables["languages"]["target"]).to_pylist():
        parts = language_summaries(results, tables["languages"], target)
        files[f"languages-{target}.md"] = "\n".join(map(markdown, parts)).encode()
        rows = tables["languages"].filter(pc.field("target") == target)
        files[f"languages-{target}.csv"] = to_csv(rows).encode()
    files |= robustness_files(results, tables["robustness"]) | analysis_files(tables)
    files |= items_files(tables["items"]) | selection_files(tables["selection"])
    store = LocalStore(folder)
    for name, content in files.items():
        store.write(name, content)
    return [folder / name for name in files]


def render_terminal(console: Console, tables: Tables) -> None:
    """Print a table a split, cut into blocks of columns that fit the console, what its differences are worth by seeds
    and by test items, the whole study, what noise cost, what the analyses say, and what failed."""
    results = tables["results"]
    _print_summaries(console, tables)
    for grid in _grids(tables):
        print_study(console, grid)
    render_items(console, tables["items"])
    render_robustness(console, results, tables["robustness"])
    render_selection(console, tables["selection"])
    render_analyses(console, tables)
    _print_ended(console, results)


def render_scores(console: Console, tables: Tables) -> None:
    """Print a table a split, what its differences are worth, and what failed."""
    _print_summaries(console, tables)
    _print_ended(console, tables["results"])


def _print_summaries(console: Console, tables: Tables) -> None:
    for summary in summaries(tables["results"], tables["summary"]):
        print_summary(console, summary)


def _print_ended(console: Console, results: pa.Table) -> None:
    for status, stage, error in ended(results):
        console.print(Text.assemble((status, "red"), f" {stage}: {error}"))


def _grids(tables: Tables) -> list[tuple[str, list[str], list[list[str]], str]]:
    return study_grids(tables["study"], tables["variance"], benchmark_of(tables["results"]).name)


def _ended_section(results: pa.Table) -> list[str]:
    found = ended(results)
    lines = [f"- {status}: {escape_markdown(stage)}: {escape_markdown(error)}" for status, stage, error in found]
    return ["## Failed and diverged", "", *lines, ""] if found else []
