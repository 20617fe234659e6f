"""Writes the results of an experiment to files and prints them in a terminal.

Files and terminal show the same tables and therefore the same numbers. The CSV and Parquet files hold every digit; the
other forms are rounded. A missing number is shown as a word, never as 0, and the standard deviation of a single
observation as `-`.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.text import Text

from stilts.results.aggregate import failed_stages
from stilts.results.analyse import Tables
from stilts.results.similarity.similarity import ALL
from stilts.results.summary import language_summaries, summaries
from stilts.results.table import benchmark_of, parquet
from stilts.show.best import best_grids
from stilts.show.claims import claims_grids
from stilts.show.grid import Grid, latex, markdown, show
from stilts.show.items import items_grids
from stilts.show.learning import selection_grids
from stilts.show.metrics import metric_grids
from stilts.show.published import comparable, published_grids
from stilts.show.robustness import robustness_grids
from stilts.show.similarity import similarity_grids
from stilts.show.study import study_grids
from stilts.show.summary import summary_grids
from stilts.show.text import escape_markdown, to_csv
from stilts.show.training import training_grids
from stilts.storage.local import RESULTS, LocalStore


def write_results(folder: Path, tables: Tables) -> list[Path]:
    """Write the tables of an experiment. Each file is written atomically.

    - Every table: NAME.parquet.
    - The summary over seeds and the study: table.md and table.tex; the summary alone: table.csv.
    - The tables study and variance: NAME.csv.
    - The languages of each target: languages-TARGET.md and languages-TARGET.csv.
    - Every analysis that has rows: NAME.md, NAME.tex and NAME.csv.

    Returns:
        The paths of the files.

    Raises:
        StiltsError: the folder cannot be written.
    """
    files = {f"{name}.parquet": parquet(table) for name, table in tables.items()}
    grids = list(_seeds(tables))
    files |= {
        "table.md": (markdown(grids) + _failed_section(tables["results"])).encode(),
        "table.tex": latex(grids).encode(),
    }
    files |= {"table.csv": to_csv(tables["summary"]).encode()}
    files |= {f"{name}.csv": to_csv(tables[name]).encode() for name in ("study", "variance")}
    for target in pc.unique(tables["languages"]["target"]).to_pylist():
        grids = list(summary_grids(language_summaries(tables["results"], tables["languages"], target)))
        rows = tables["languages"].filter(pc.field("target") == target)
        files[f"languages-{target}.md"] = markdown(grids).encode()
        files[f"languages-{target}.csv"] = to_csv(rows).encode()
    files |= analysis_files(tables)
    store = LocalStore(folder, RESULTS)
    for name, content in files.items():
        store.write(name, content)
    return [folder / name for name in files]


def analysis_files(tables: Tables) -> dict[str, bytes]:
    """File name -> content of NAME.md, NAME.tex and NAME.csv, for every analysis that has rows."""
    files: dict[str, bytes] = {}
    for name, grids in _analyses(tables, brief=False):
        if grids:
            files[f"{name}.md"] = markdown(grids).encode()
            files[f"{name}.tex"] = latex(grids).encode()
            files[f"{name}.csv"] = to_csv(tables[name]).encode()
    return files


def print_results(console: Console, tables: Tables) -> None:
    """Print the summary over seeds, the study, every analysis, and the stages that failed or diverged."""
    show(console, _seeds(tables))
    print_analyses(console, tables)
    _print_failed(console, tables["results"])


def print_analyses(console: Console, tables: Tables) -> None:
    """Print every analysis that has rows, in its short form."""
    for _, grids in _analyses(tables, brief=True):
        show(console, grids)


def print_scores(console: Console, tables: Tables) -> None:
    """Print the summary over seeds, the verdicts of the claims, and the stages that failed or diverged."""
    show(console, summary_grids(summaries(tables["results"], tables["summary"])))
    if "claims" in tables:
        show(console, claims_grids(tables["claims"]))
    _print_failed(console, tables["results"])


def _seeds(tables: Tables) -> Iterator[Grid]:
    results = tables["results"]
    yield from summary_grids(summaries(results, tables["summary"]))
    yield from metric_grids(results)
    yield from study_grids(tables["study"], tables["variance"], benchmark_of(results).name)


def _analyses(tables: Tables, *, brief: bool) -> Iterator[tuple[str, list[Grid]]]:
    """(name, grids) of each analysis.

    Args:
        brief: the short form for a terminal: means over languages, similarity over all targets only, and only those
            published results for which the run has a comparable score.
    """
    if "claims" in tables:
        yield "claims", list(claims_grids(tables["claims"]))
    if "training" in tables:
        yield "training", list(training_grids(tables["training"], brief=brief))
    yield "items", list(items_grids(tables["items"], brief=brief))
    yield "robustness", list(robustness_grids(tables["results"], tables["robustness"], brief=brief))
    yield "selection", list(selection_grids(tables["selection"], brief=brief))
    yield "best", list(best_grids(tables["best"]))
    yield "published", list(published_grids(comparable(tables["published"]) if brief else tables["published"]))
    similarity = tables["similarity"].filter(pc.field("target") == ALL) if brief else tables["similarity"]
    yield "similarity", list(similarity_grids(similarity))


def _print_failed(console: Console, results: pa.Table) -> None:
    for status, stage, error in failed_stages(results):
        console.print(Text.assemble((status, "red"), f" {stage}: {error}", (f" (see `stilts logs {stage}`)", "dim")))


def _failed_section(results: pa.Table) -> str:
    lines = [
        f"- {status}: {escape_markdown(stage)}: {escape_markdown(error)}"
        for status, stage, error in failed_stages(results)
    ]
    return "\n".join(["\n## Failed and diverged", "", *lines, ""]) if lines else ""
