"""Tiny models for the training tests."""

from pathlib import Path

import pytest

from tests.train.toys import NO_DROPOUT, make_base, sentences


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
