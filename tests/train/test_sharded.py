"""A small XLM-R XL in several files, divided over two ranks while it is loaded."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM

from stilts.train.model import load_encoder
from stilts.train.sharded import ShardedWeights
from tests.train.toys import NO_DROPOUT, free_port, make_base

ROOT = Path(__file__).resolve().parents[2]
SHARD_MB = 12


def in_shards(folder: Path, text: Path, shard: str, **config: Any) -> Path:
    """An XLM-R XL with its masked language modelling head, in files of at most `shard`."""
    fields = {"model_type": "xlm-roberta-xl", "max_position_embeddings": 66, **NO_DROPOUT, **config}
    base = make_base(folder, text, **fields)
    torch.manual_seed(0)
    whole = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(base))
    (base / "model.safetensors").unlink()
    whole.save_pretrained(base, max_shard_size=shard)
    assert len(list(base.glob("model-*.safetensors"))) > 2
    return base


def test_every_tensor_is_found_in_the_files(text_file: Path, tmp_path: Path) -> None:
    base = in_shards(tmp_path / "xl", text_file, "30KB")
    encoder = load_encoder(base)
    source = ShardedWeights(encoder, base)
    encoder.pooler = None
    assert not source.complete, "the pooler is not in a checkpoint of masked language modelling"
    source = ShardedWeights(encoder, base)
    assert source.complete
    for name, parameter in encoder.named_parameters():
        assert name in source
        assert torch.equal(source[name], parameter)


@pytest.fixture(scope="module")
def found(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the first of two ranks found; the other found the same."""
    folder = tmp_path_factory.mktemp("sharded")
    sizes = {"hidden_size": 384, "num_hidden_layers": 8, "num_attention_heads": 6, "intermediate_size": 1536}
    base = in_shards(folder / "xl", text_file, f"{SHARD_MB}MB", **sizes)
    port, script = str(free_port()), str(Path(__file__).with_name("sharded_of_two.py"))
    gang = [
        subprocess.Popen(
            [sys.executable, script, str(rank), port, str(base), str(folder / f"{rank}.json")],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    output = [process.communicate(timeout=900)[0] for process in gang]
    assert [process.returncode for process in gang] == [0, 0], output
    results = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    assert {**results[0], "memory": None} == {**results[1], "memory": None}
    whole = sum(file.stat().st_size for file in base.glob("model-*.safetensors")) / 2**20
    return {**results[0], "whole": whole, "memories": [result["memory"] for result in results]}


@pytest.mark.slow
def test_no_rank_holds_more_than_its_part_and_one_file(found: dict) -> None:
    """Half the model, one file of it, and 10 MB for the modules and the embedding of 200 pieces."""
    for memory in found["memories"]:
        assert memory["held"] <= memory["peak"] < found["whole"] / 2 + SHARD_MB + 10


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_trains_as_a_model_that_was_loaded_whole(found: dict, precision: str) -> None:
    whole, divided = found[precision]
    assert divided == whole


@pytest.mark.slow
def test_offload_changes_no_result(found: dict) -> None:
    for losses in found["offload"]:
        assert losses == pytest.approx(found["fp32"][0], rel=1e-6)


@pytest.mark.slow
def test_it_resumes_bitwise(found: dict) -> None:
    assert found["resumed"] == found["fp32"][0]
