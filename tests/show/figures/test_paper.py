"""A paper that takes in every table and every figure of a results folder compiles, whatever the names are."""

import os
import re
import shutil
import subprocess

import pyarrow as pa
import pytest

from stilts.identity.stage import Condition
from stilts.results import best, published
from stilts.results.learning import selection
from stilts.results.similarity import similarity
from stilts.show.figures.write import write_figures
from stilts.show.results import write_results

AWKWARD = r"squad_100%&$#{é}~^\<ß>|"
TABLES = {
    "best": (best.SCHEMA, {"rule": best.PER_TARGET, "candidates": 3, "planned": 5, "n": 5, "difference_n": 5}),
    "published": (published.SCHEMA, {"column": "xnli", "metric": "accuracy", "ours_n": 5}),
    "similarity": (similarity.CORRELATIONS, {"split": "test", "target": "all", "languages": 9}),
    "selection": (selection.SCHEMA, {"target": "xnli", "split": "test", "status": "ok", "language": "mean", "n": 5}),
}
"""Tables of a store's records: schema, and what their views ask for; their other texts are awkward."""


def filled(schema, known):
    """One row per kind of distance. Other columns hold AWKWARD (texts), -1.25 (numbers) or null (counts)."""
    kinds = {pa.string(): AWKWARD, pa.float64(): -1.25}
    row = {field.name: kinds.get(field.type) for field in schema} | known
    features = similarity.FEATURES if "feature" in row else ("",)
    return pa.Table.from_pylist([{**row, "feature": feature} for feature in features], schema=schema)


def test_tables_and_figures_compile(grid, tmp_path):
    for regime, more in (("none", 0.0), (AWKWARD, 1.5)):
        for seed in (1, 2, 3):
            score = {"en": {"accuracy": 70 + more * seed}}
            grid.add(regime, "xnli", seed, score, noise={Condition("swap", 0.1): {"en": {"accuracy": 60.0 + seed}}})
    tables = {**grid.tables(), **{name: filled(*asked) for name, asked in TABLES.items()}}
    texts = [path.name for path in write_results(tmp_path, tables) if path.suffix == ".tex"]
    assert {"table.tex", "robustness.tex", *(f"{name}.tex" for name in TABLES)} <= set(texts)
    figures = [path for path in write_figures(tmp_path, tables) if path.suffix == ".pdf"]
    assert all(path.read_bytes().startswith(b"%PDF") for path in figures)
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex")
    parts = [rf"\input{{{name}}}\clearpage" for name in texts]
    parts += [rf"\noindent\includegraphics[width=\linewidth]{{{path.relative_to(tmp_path)}}}\par" for path in figures]
    document = "\n".join([r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}", *parts])
    (tmp_path / "paper.tex").write_text(document + "\n" + r"\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    long_lines = {**os.environ, "max_print_line": "10000"}  # pdfTeX otherwise breaks the names of files in its log
    run = subprocess.run(command, cwd=tmp_path, env=long_lines, capture_output=True, check=False)
    log = run.stdout.decode(errors="replace")
    assert re.search(r"Output written on paper.pdf \(\d+ pages", log), log[-2000:]
    assert "Overfull \\hbox" not in log
    assert log.count(".pdf>") >= len(figures) > 4
