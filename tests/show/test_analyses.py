"""The analyses to be read: equal numbers in every form, words for what is not there, LaTeX that compiles."""

import io
import shutil
import subprocess
from zlib import crc32

import pyarrow as pa
import pytest
from rich.console import Console

from stilts.results.aggregate import languages_table, summary_table
from stilts.results.analyse import over_seeds
from stilts.results.best import SCHEMA as BEST
from stilts.results.best import best
from stilts.results.published import beside_published
from stilts.results.seed_statistics import Options
from stilts.results.similarity.distances import installed
from stilts.results.similarity.pretraining import Pretraining
from stilts.results.similarity.similarity import CORRELATIONS, similarity
from stilts.show.results import analysis_files, print_analyses
from stilts.tasks.base import get_task
from tests.results.conftest import Grid as Results
from tests.results.conftest import of_a_store

if not installed():
    pytest.skip("needs stilts[similarity]", allow_module_level=True)

EMPTY = Results().table()
SIZES = {language: 10.0 + i for i, language in enumerate(get_task("panx").languages)}


@pytest.fixture
def tables(grid):
    """Three regimes whose languages gain differently, on a target with dev scores and two without."""
    for regime in ("none", "mnli", "squad_100%"):
        for seed in (1, 2):
            for target, metric in {"xnli": "accuracy", "tatoeba": "accuracy", "bucc2018": "f1"}.items():
                languages = get_task(target).languages
                scores = {lang: {metric: 50.0 + crc32(f"{regime}{seed}{lang}".encode()) % 9} for lang in languages}
                dev = 70.0 + len(regime) if target == "xnli" else None
                grid.add(regime, target, seed, scores, dev=dev, extra={"no": 0.0})
    for record in grid.evaluations.values():
        if "task" in record:
            record["examples"] = get_task(record["task"]).rows("test", record["language"])
    results = grid.table()
    languages = languages_table(results, summary_table(results, Options()), Options())
    chosen = best(results, grid.cells, grid.read_evaluation, "none")
    targets = set(results["target"].to_pylist())
    points, correlations = similarity(languages, targets, {"base": Pretraining("bert", SIZES, "GiB")})
    published = beside_published(results, chosen, "none")
    return {"best": chosen, "published": published, "similarity": correlations, "similarity_points": points}


def complete(tables):
    """These tables among all the tables of an experiment, the others empty."""
    return {**of_a_store(), **over_seeds(EMPTY, Options()), **tables}


def printed(tables, width):
    console = Console(width=width, record=True, file=io.StringIO())
    print_analyses(console, complete(tables))
    return console.export_text()


def cells(text, header):
    """Rows of the first Markdown table with this header's beginning, as lists of cells."""
    lines = text[text.index(f"| {header}") :].split("\n\n")[0].split("\n")
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_files(tables):
    assert sorted(analysis_files(complete(tables))) == sorted(
        f"{name}.{kind}" for name in ("best", "published", "similarity") for kind in ("csv", "md", "tex")
    )
    empty = {"best": BEST.empty_table(), "published": tables["published"].slice(0, 0)}
    assert analysis_files(complete({**empty, "similarity": CORRELATIONS.empty_table()})) == {}


def test_markdown_has_the_tables_numbers(tables):
    files = {name: content.decode() for name, content in analysis_files(complete(tables)).items()}
    per_target = [row for row in tables["best"].to_pylist() if row["rule"] == "per target"]
    for row, shown in zip(per_target, cells(files["best.md"], "target"), strict=True):
        assert shown[0] == row["target"]
        assert (f"{row['test']:.1f}" in shown[3]) if row["test"] is not None else shown[3] == "no dev score"
    comparable = next(row for row in tables["published"].to_pylist() if row["ours"] is not None)
    assert f"{comparable['ours']:.1f} \\[" in files["published.md"]
    correlation = next(row for row in tables["similarity"].to_pylist() if row["target"] == "all")
    first = cells(files["similarity.md"], "intermediate")[0]
    assert first[:2] == [correlation["intermediate"], "pearson"]
    assert first[3].startswith(f"{correlation['pearson']:.2f} \\[{correlation['pearson_low']:.2f}, ")


def test_what_is_not_there_is_said(tables):
    files = {name: content.decode() for name, content in analysis_files(complete(tables)).items()}
    assert "bucc2018, tatoeba: no dev score." in files["best.md"]
    assert "not computed" in files["similarity.md"]
    assert "bucc2018 test: too few languages (4)." in files["similarity.md"]
    assert "CC BY-SA 4.0" in files["similarity.md"]


@pytest.mark.parametrize("width", [70, 200])
def test_a_terminal_cuts_nothing_off(tables, width):
    text = printed(tables, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    row = next(row for row in tables["best"].to_pylist() if row["test"] is not None)
    assert f"{row['test']:.1f}" in text


def test_published_numbers_are_printed_only_beside_our_own(tables):
    assert "beside published results" in printed(tables, 150)
    note = pa.array(["0 of 15 languages"] * len(tables["published"]))
    none = pa.nulls(len(tables["published"]), pa.float64())
    names = tables["published"].schema.names
    published = tables["published"].set_column(names.index("ours"), "ours", none)
    published = published.set_column(names.index("note"), "note", note)
    assert "beside published results" not in printed({**tables, "published": published}, 150)


def test_latex_compiles(tables, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex")
    inputs = ""
    for name, content in analysis_files(complete(tables)).items():
        (tmp_path / name).write_bytes(content)
        inputs += rf"\input{{{name}}}\clearpage" if name.endswith(".tex") else ""
    document = rf"\documentclass{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}{inputs}\end{{document}}"
    (tmp_path / "paper.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    log = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert log.returncode == 0, log.stdout.decode(errors="replace")[-2000:]
    assert b"Overfull \\hbox" not in log.stdout


def test_what_several_models_have_in_common_is_said_once(tables):
    similarity = tables["similarity"]
    other = similarity.set_column(
        similarity.schema.get_field_index("model"), "model", pa.array(["other"] * len(similarity), pa.string())
    )
    text = printed({"similarity": pa.concat_tables([similarity, other])}, 200)
    assert text.count("gain and distance to English") == 2
    assert text.count("URIEL") == printed({"similarity": similarity}, 200).count("URIEL")
