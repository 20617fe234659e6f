"""Displays what a submission contains and what it lacks of its benchmark."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stilts.results.aggregate import official_order
from stilts.results.submission import archive_of
from stilts.tasks.benchmarks import get_benchmark


def show_submission(manifest: Mapping[str, Any], out: Path, console: Console) -> None:
    """Print a row for each target of the benchmark, what is missing, and where the files are.

    Args:
        manifest: the result of `stilts.results.submission.write_submission`.
        out: the folder of the submission.
    """
    benchmark = get_benchmark(manifest["benchmark"])
    table = Table("target", "intermediate", "seed", "dev", "languages", "missing", box=None, header_style="bold")
    for target in official_order(benchmark):
        wanted, choice = len(benchmark.languages[target]), manifest["targets"].get(target)
        if choice is None:
            why = escape(manifest["missing"][target])
            table.add_row(target, "-", "-", "-", f"[red]0 of {wanted}[/]", f"[red]{why}[/]")
            continue
        lacking = choice["missing_languages"]
        count = f"[{'yellow' if lacking else 'green'}]{wanted - len(lacking)} of {wanted}[/]"
        dev = "-" if choice["dev"] is None else f"{choice['dev']:.1f}"
        missing = f"[yellow]{' '.join(lacking)}[/]"
        table.add_row(target, choice["intermediate"], str(choice["seed"]), dev, count, missing)
    console.print(table)
    if not manifest["complete"]:
        console.print(f"[bold yellow]INCOMPLETE[/]: {benchmark.name} averages over all of them; {_lacks(manifest)}")
    places = f"{out} and {archive_of(out)}"
    console.print(f"[dim]{len(manifest['files'])} files, checked, in {escape(places)}[/]")


def _lacks(manifest: Mapping[str, Any]) -> str:
    targets = len(manifest["missing"])
    languages = sum(len(choice["missing_languages"]) for choice in manifest["targets"].values())
    others = " of the others" if targets else ""
    lacks = [f"{targets} targets"] * bool(targets) + [f"{languages} languages{others}"] * bool(languages)
    return f"{' and '.join(lacks)} are missing"
