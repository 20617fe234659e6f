"""The studies of `ray_jobs/own`, which bring their tasks and a benchmark along: planned, and run on small files."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stilts.experiment.load import load_experiment
from stilts.session import Session
from stilts.tasks.base import get_task
from stilts.tasks.own import use
from tests.own_ray import ROOT

OWN = ROOT / "ray_jobs" / "own"
TOPICS = ("travel", "sports", "health")
TINY = """
store: FOLDER/store
results: FOLDER/results
seeds: [1]
models:
  xlmr-base:
    hub:
    revision:
    init:
      config: {model_type: xlm-roberta, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}
      tokenizer: {vocab_size: 300}
recipe: {precision: fp32, epochs: null, max_steps: 4, max_length: 32, batch_size: 4}
settings: {belebele: {max_length: 32}}
runtime: {accelerator: cpu}
data:
  tasks:
    mlm: {train: "FOLDER/{lang}.txt"}
"""
SMALL_SETS = """
    sib200: {train: "FOLDER/sib/{lang}.tsv", dev: "FOLDER/sib/{lang}.tsv", test: "FOLDER/sib/{lang}.tsv"}
    belebele: {test: "FOLDER/belebele/{lang}.jsonl"}
    cosmosqa: {train: FOLDER/cosmosqa.csv, dev: FOLDER/cosmosqa.csv}
    masakhaner: {train: "FOLDER/ner/{lang}.txt", dev: "FOLDER/ner/{lang}.txt", test: "FOLDER/ner/{lang}.txt"}
intermediates: [none]
"""
DIALECTS = """
    xsid:
      train: FOLDER/xsid/en.conll
      dev: FOLDER/xsid/en.conll
      test: "FOLDER/xsid/{lang}.conll"
      translated: "FOLDER/xsid/{lang}.conll"
    bar_ner: {train: FOLDER/ner/yor.tsv, dev: FOLDER/ner/yor.tsv}
    bar_pos: {train: FOLDER/ner/yor.tsv, dev: FOLDER/ner/yor.tsv}
    bar_deps: {train: FOLDER/ner/yor.tsv, dev: FOLDER/ner/yor.tsv}
    bar_text: {train: FOLDER/few.txt}
"""


STUDIES = [("low_resource_study", SMALL_SETS, 3), ("dialects", DIALECTS, 18)]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Small files of every task, in the form of the published ones."""
    _write(tmp_path / "en.txt", "we go home\nthey play ball\n" * 20)
    _write(tmp_path / "few.txt", "mir genga hoam\nsie spuin ball\n")
    for language in ("en", "de", "yo"):
        rows = [f"{n}\t{TOPICS[n % 3]}\ttext {n} of {TOPICS[n % 3]}" for n in range(9)]
        _write(tmp_path / "sib" / f"{language}.tsv", "\n".join(["index_id\tcategory\ttext", *rows]))
    question = {"flores_passage": "We go home.", "question": "Where?", "correct_answer_num": "2"}
    answers = {f"mc_answer{n}": f"answer {n}" for n in range(1, 5)}
    for language in ("de", "yo"):
        _write(tmp_path / "belebele" / f"{language}.jsonl", f"{json.dumps({**question, **answers})}\n" * 3)
    cells = "id,context,question,answer0,answer1,answer2,answer3,label"
    _write(tmp_path / "cosmosqa.csv", "\n".join([cells, *(f"{n},We go.,Where?,a,b,c,d,{n % 4}" for n in range(8))]))
    names = "Abeokuta B-LOC\nni O\n\nAdeola B-PER\nlo O\n"
    for language in ("yor", "swa"):
        _write(tmp_path / "ner" / f"{language}.txt", names)
    _write(tmp_path / "ner" / "yor.tsv", names.replace(" ", "\t"))
    frame = "# id: 1\n1\tRegnts\tweather/find\tB-weather/attribute\n2\theint\tweather/find\tB-datetime\n\n"
    other = "1\tWecker\talarm/set\tO\n2\tstell\talarm/set\tO\n"
    for language in ("en", "de", "de-ba", "de-st", "gsw"):
        _write(tmp_path / "xsid" / f"{language}.conll", frame + other)
    yield tmp_path
    use([])


def _small(folder: Path, sets: str) -> Path:
    path = folder / "small.yaml"
    path.write_text((TINY + sets.lstrip("\n")).replace("FOLDER", str(folder)))
    return path


@pytest.mark.parametrize(
    ("study", "sets", "cells"), [("low_resource_study", SMALL_SETS, 3), ("dialects", DIALECTS, 18)]
)
def test_a_study_is_planned_on_small_files(folder: Path, study: str, sets: str, cells: int) -> None:
    session = Session.of(load_experiment(OWN / f"{study}.yaml", patches=[_small(folder, sets)]))
    assert len(session.expansion.cells) == cells
    assert session.absent() == {}


def test_the_hub_tasks_are_planned_at_full_size_without_a_download(folder: Path) -> None:
    file = f"'{folder}/ner/{{lang}}.txt'"
    ner = f"data: {{tasks: {{masakhaner: {{train: {file}, dev: {file}, test: {file}}}}}}}"
    (folder / "ner.yaml").write_text(f"store: {folder}/store\n{ner}\n")
    session = Session.of(load_experiment(OWN / "low_resource_study.yaml", patches=[folder / "ner.yaml"]))
    assert len(session.expansion.cells) == 27
    rows = {ref.task: ref.rows for ref in session.data if ref.split == "test"}
    assert (rows["sib200"], rows["belebele"]) == (204, 900)
    assert get_task("belebele").label_values["2"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "sets", "cells"), [("low_resource_study", SMALL_SETS, 3), ("dialects", DIALECTS, 18)]
)
def test_a_study_runs_on_small_files(folder: Path, study: str, sets: str, cells: int) -> None:
    command = [sys.executable, "-m", "stilts", "run", str(OWN / f"{study}.yaml"), "--with", str(_small(folder, sets))]
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    table = pq.read_table(next((folder / "results").rglob("results.parquet"))).to_pylist()
    assert {row["status"] for row in table} == {"ok"}
    assert len({(row["intermediate"], row["target"]) for row in table}) == cells
