"""Tiny models for the training tests."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM

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
def xl_in_shards(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Path:
    """A two-layer XLM-R XL with its masked language modelling head, in several files."""
    fields = {"model_type": "xlm-roberta-xl", "max_position_embeddings": 66}
    base = make_base(tmp_path_factory.mktemp("xl"), text_file, **fields, **NO_DROPOUT)
    torch.manual_seed(0)
    whole = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(base))
    (base / "model.safetensors").unlink()
    whole.save_pretrained(base, max_shard_size="30KB")
    assert len(list(base.glob("model-*.safetensors"))) > 2
    return base


@pytest.fixture(scope="session")
def dropping_base(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Path:
    """The same with dropout."""
    return make_base(tmp_path_factory.mktemp("dropping"), text_file)
