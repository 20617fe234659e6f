"""Writes the report: one self-contained HTML page with the results of an experiment and the facts about it.

- The page loads nothing, and its content security policy forbids loading.
- The policy allows only the page's own script, identified by its digest. Names and error messages that contain markup
  are escaped.
- Every number in a section with results is written by `number`, with its place in the Parquet file it comes from.
"""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from stilts.experiment.experiment import AVERAGES
from stilts.ledger.logs import log_command
from stilts.results.analyse import Tables
from stilts.results.seed_statistics import Options
from stilts.results.summary import summaries
from stilts.results.table import STATUSES, benchmark_of, parquet
from stilts.show.html.charts import charts_of
from stilts.show.html.facts import Facts
from stilts.show.html.overview import LEVEL, overview, seeds_table
from stilts.show.html.table_rows import TableRow, TableRows, name, number
from stilts.show.published import EXTRACTION
from stilts.storage.local import RESULTS, LocalStore
from stilts.visible import visible


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes:
        needs: (table, column); the section is left out if this column has no value.
        absent: why the section is left out in that case, and what to do to get it.
        has_results: whether all its numbers come from the tables.
    """

    id: str
    title: str
    needs: tuple[str, str] | None = None
    absent: str = ""
    has_results: bool = True


SECTIONS = (
    Section(
        "claims",
        "Claims",
        ("claims", "claim"),
        "The experiment declares none; claims: in its file puts statements to the test (docs/claims.md).",
    ),
    Section("helped", "What helped?", ("overview", "cells")),
    Section("results", "Results", ("summary", "planned")),
    Section(
        "transfer",
        "Transfer, intermediate × target",
        ("summary", "difference"),
        "It compares finished regimes to the finished baseline.",
    ),
    Section("differences", "Differences to the baseline", ("summary", "difference")),
    Section("study", "All targets together", ("study", "iqm"), "A regime is there with all targets of its own."),
    Section("languages", "Languages", ("languages", "mean")),
    Section("seeds", "Seeds", ("seeds", "value")),
    Section(
        "variance",
        "Which seed the spread comes from",
        ("variance", "residual_share"),
        "Seeds must combine: those of both phases (intermediate_seeds: crossed), or those of parts (seed_parts).",
    ),
    Section("training", "Did the intermediates learn?", ("training", "last_loss")),
    Section(
        "learning", "Learning curves, and the choice of a checkpoint", ("curves", "value"), "No stage is done yet."
    ),
    Section(
        "similarity",
        "Linguistic similarity",
        ("similarity_points", "gain"),
        "It needs a finished regime beside the baseline, and language vectors: pip install 'stilts[similarity]'.",
    ),
    Section(
        "robustness",
        "Robustness to noise",
        ("robustness", "noisy"),
        "Nothing was evaluated under noise; in the experiment, noise: {kinds: [swap], rates: [0.1]} asks for it.",
    ),
    Section("published", "Published numbers", ("published", "value"), "No published number has a column of this run."),
    Section("failed", "What failed, and what is missing", ("overview", "cells")),
    Section("cost", "Plan and cost"),
    Section("absent", "Not in this report", has_results=False),
    Section("reproduce", "To reproduce it", has_results=False),
)
"""The sections in the order of the page."""


def write_report(path: Path, folder: Path, tables: Tables, facts: Facts, options: Options) -> None:
    """Write the page to `path`, and the tables that it shows to `folder`/NAME.parquet. Each file is written atomically.

    Raises:
        StiltsError: a folder cannot be written.
    """
    tables = {**tables, **own_tables(tables, facts)}
    for table, content in tables.items():
        LocalStore(folder, RESULTS).write(f"{table}.parquet", parquet(content))
    LocalStore(path.parent, "the folder of the report").write(path.name, render(tables, facts, options).encode())


def own_tables(tables: Tables, facts: Facts) -> dict[str, pa.Table]:
    """The tables that only the report has: `stages`, `plan`, `overview` and `seeds`."""
    return {
        **facts.tables,
        "overview": overview(tables["results"], tables["summary"]),
        "seeds": seeds_table(tables["results"]),
    }


def render(tables: Tables, facts: Facts, options: Options) -> str:
    """Render the page as HTML.

    Args:
        tables: tables by name; must contain `results`, `summary` and those of `own_tables`.
    """
    rows_of_tables = {table: TableRows.of(table, content) for table, content in tables.items()}
    environment = _environment()
    environment.globals |= _shared(rows_of_tables, tables, facts, options)
    shown = [section for section in SECTIONS if section.needs is None or _has(rows_of_tables, *section.needs)]
    absent = [section for section in SECTIONS if section not in shown and section.absent]
    environment.globals["absent"] = absent
    bodies = [
        {"id": section.id, "title": section.title, "has_results": section.has_results, "body": Markup(body)}
        for section in shown
        if (body := environment.get_template(f"sections/{section.id}.html").render().strip())
    ]
    script = _text(environment, "page.js")
    return environment.get_template("page.html").render(
        sections=bodies,
        style=Markup(_text(environment, "style.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _has(rows_of_tables: Mapping[str, TableRows], table: str, column: str) -> bool:
    return table in rows_of_tables and len(rows_of_tables[table].having(column)) > 0


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("stilts.show.html"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """Text with its control characters as escapes. What is markup stays markup."""
    return visible(value) if type(value) is str else value


def _text(environment: Environment, file: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, file)[0]


_TABLES = (
    *("overview", "summary", "languages", "items", "seeds", "best", "study", "variance", "selection"),
    *("similarity", "similarity_points", "robustness", "published", "stages", "training", "claims"),
)
"""Tables that templates use as variables; a table that does not exist is empty there."""


def _shared(rows_of_tables: Mapping[str, TableRows], tables: Tables, facts: Facts, options: Options) -> dict[str, Any]:
    """The variables and functions that all templates can use."""
    found = rows_of_tables["overview"].where(intermediate=tuple(facts.intermediates))
    benchmark = benchmark_of(tables["results"]).name
    return {
        **{table: rows_of_tables.get(table, TableRows([])) for table in _TABLES},
        "table_rows": rows_of_tables.__getitem__,
        "facts": facts,
        "options": options,
        "baseline": options.baseline,
        "others": [regime for regime in facts.intermediates if regime != options.baseline],
        "splits": found.unique("split"),
        "models": found.unique("model"),
        "averages": AVERAGES,
        "overall": benchmark,
        "overall_title": benchmark.upper(),
        "notes": {found.split: found for found in summaries(tables["results"], tables["summary"])},
        "statuses": [status.replace(" ", "_") for status in STATUSES if status != "ok"],
        "published_extraction": EXTRACTION,
        "on_gpu": "gpu" in rows_of_tables["stages"].unique("accelerator"),
        "number": number,
        "name": name,
        "chart": charts_of(tables),
        "in_order": lambda columns: sorted(columns, key=lambda column: column != benchmark),
        "side": side,
        "strength": strength,
        "is_significant": is_significant,
        "extent": extent,
        "log_command": log_command,
        "along": along,
        "bar_length": bar_length,
    }


# --- positions, lengths and colours for charts that templates draw


def side(difference: float) -> str:
    """`gain` or `loss`: the class that sets the colour."""
    return "gain" if difference >= 0 else "loss"


def strength(difference: float, most: float) -> str:
    """Opacity of a colour, from 0 to 1.

    It grows with the square root of the difference, because the differences of retrieval are far larger than others.

    Args:
        most: the largest absolute difference.
    """
    return f"{math.sqrt(abs(difference / most)):.2f}" if most else "0"


def is_significant(row: TableRow) -> bool:
    """Whether a difference is significant: by its adjusted p value or, in tables without one, by its interval."""
    if "p_holm" in row:
        return row["p_holm"] is not None and row["p_holm"] < LEVEL
    return row["difference_low"] is not None and row["difference_low"] * row["difference_high"] > 0


def extent(rows: Sequence[TableRow], columns: Sequence[str], zero: bool = True) -> tuple[float, float]:
    """Lowest and highest value of several columns, with a margin of 4 % on both sides.

    Args:
        zero: extend the range so that it contains 0.
    """
    values = [row[column] for row in rows for column in columns if row[column] is not None]
    values += [0.0] if zero or not values else []
    low, high = min(values), max(values)
    room = (high - low) * 0.04 or 1.0
    return low - room, high + room


def along(value: float, span: tuple[float, float]) -> str:
    """Position of a value on an axis from `span[0]` to `span[1]`, in percent of its length."""
    return f"{100 * (value - span[0]) / (span[1] - span[0]):.1f}%"


def bar_length(row: TableRow, most: TableRow) -> str:
    """Length of a bar that starts at zero: the mean of a row divided by the highest mean, from 0 to 1."""
    return f"{max(row['mean'] or 0.0, 0.0) / most['mean']:.3f}" if most["mean"] else "0"
