"""Fixtures of the command line's tests: a tiny experiment on files, and a function that runs a command in-process."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stilts.cli import main

PAIRS = "A man eats.\tSomebody eats.\tentailment\nA man eats.\tNobody eats.\tcontradiction\n"

EXPERIMENT = """\
name: tiny
store: {folder}/store
seeds: [1]
models:
  tiny:
    init:
      config: {{model_type: xlm-roberta, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}}
      tokenizer: {{vocab_size: 300}}
intermediates: [none]
targets:
  xnli: {{languages: [en, de]}}
recipe: {{precision: fp32, max_steps: 2}}
data:
  xtreme: {folder}/xtreme
  tasks:
    mlm: {{train: "{folder}/{{lang}}.txt"}}
languages: present
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "xtreme" / "xnli"
    folder.mkdir(parents=True)
    (folder / "train-en.tsv").write_text(PAIRS)
    (folder / "dev-en.tsv").write_text(PAIRS)
    for language in ("en", "de"):
        (folder / f"test-{language}.tsv").write_text("A man eats.\tSomebody eats.\n")
    (tmp_path / "en.txt").write_text("A man eats.\nSomebody sleeps.\n")
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT.format(folder=tmp_path))
    return path


@pytest.fixture
def stilts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command line: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stilts", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, " ".join(err.split())

    return run
