"""Tiny models and a gang of one for the training tests."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from stilts.train.ranks import Ranks, connect
from tests.train.toys import NO_DROPOUT, free_port, make_base, sentences


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(sentences(400)) + "\n")
    return path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Path:
    """A two-layer XLM-R without dropout."""
    return make_base(tmp_path_factory.mktemp("base"), text_file, **NO_DROPOUT)


@pytest.fixture(scope="session")
def dropping_base(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Path:
    """The same with dropout."""
    return make_base(tmp_path_factory.mktemp("dropping"), text_file)


@pytest.fixture(scope="session")
def ranks() -> Ranks:
    """This process as a gang of one."""
    torch.set_num_threads(1)
    return connect(0, 1, "127.0.0.1", free_port(), torch.device("cpu"))
