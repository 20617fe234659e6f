"""Broken checkpoints are told before anything is trained, all problems at once, each with its file and a remedy."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from stilts.encoders.checkpoint_checks import checkpoint_problems
from tests.train.checkpoints import KINDS, make_checkpoint
from tests.train.toys import make_base


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Path:
    return make_base(tmp_path_factory.mktemp("good"), text_file, type_vocab_size=1)


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "model"))


def config(folder: Path, **fields: Any) -> None:
    content = json.loads((folder / "config.json").read_text())
    content = {name: value for name, value in {**content, **fields}.items() if value != "REMOVED"}
    (folder / "config.json").write_text(json.dumps(content))


def weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    changed = change(load_file(folder / "model.safetensors"))
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})


def cut(folder: Path, name: str, size: int) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:size])


def without(name: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda state: {n: value for n, value in state.items() if n != name}


DENSE = "encoder.layer.1.output.dense.weight"
WORDS = "embeddings.word_embeddings.weight"
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated weights": (
        lambda f: cut(f, "model.safetensors", 5000),
        "model.safetensors has 5000 bytes and its header",
    ),
    "truncated header": (lambda f: cut(f, "model.safetensors", 100), "no safetensors file: it is damaged"),
    "empty weights": (lambda f: cut(f, "model.safetensors", 0), "no safetensors file: it is damaged"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
    "truncated config": (lambda f: cut(f, "config.json", 40), "config.json is not valid JSON (truncated?)"),
    "config is a list": (lambda f: (f / "config.json").write_text("[1]"), "config.json holds no JSON object"),
    "config nests deeply": (lambda f: (f / "config.json").write_text("[" * 100_000), "config.json is not valid JSON"),
    "config is binary": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), "config.json is not valid JSON"),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "no model_type": (lambda f: config(f, model_type="REMOVED"), "config.json has no model_type; add"),
    "unknown model_type": (lambda f: config(f, model_type="evil"), "'evil' is not a model type of the installed"),
    "model_type is a number": (lambda f: config(f, model_type=3), "config.json has no model_type"),
    "XLM-R under bert": (lambda f: config(f, model_type="bert"), "architectures names XLMRobertaModel"),
    "XLM-R under bert, no class": (
        lambda f: config(f, model_type="bert", architectures="REMOVED"),
        "'bert' with 514 positions, one token type and padding 1",
    ),
    "a decoder": (lambda f: config(f, model_type="gpt2"), "'gpt2' is a decoder"),
    "an encoder-decoder": (lambda f: config(f, model_type="t5"), "'t5' is an encoder-decoder"),
    "is_decoder": (lambda f: config(f, is_decoder=True), "is_decoder: true has causal attention"),
    "text for a number": (lambda f: config(f, hidden_size="32"), "hidden_size should be a number, not '32'"),
    "a fraction": (lambda f: config(f, num_hidden_layers=1.5), "num_hidden_layers should be a whole number"),
    "true for a number": (lambda f: config(f, num_attention_heads=True), "num_attention_heads should be a number"),
    "heads that do not divide": (lambda f: config(f, num_attention_heads=5), "transformers makes no model of these"),
    "unknown activation": (lambda f: config(f, hidden_act="gelo"), "transformers makes no model of these fields"),
    "a class of its own": (
        lambda f: config(f, auto_map={"AutoModel": "jinaai/code--modeling_lora.XLMRobertaLoRA"}),
        "auto_map: XLMRobertaLoRA is code that comes with the checkpoint and is never executed",
    ),
    "pad_token_id null": (lambda f: config(f, pad_token_id=None), "pad_token_id is null; give the id"),
    "pad_token_id too high": (lambda f: config(f, pad_token_id=99999), "pad_token_id 99999 is not below vocab_size"),
    "another pad_token_id": (lambda f: config(f, pad_token_id=0), "the tokenizer's padding token has the id 1"),
    "quantised by config": (lambda f: config(f, quantization_config={"load_in_8bit": True}), "quantised weights"),
    "int8 weights": (
        lambda f: weights(f, lambda s: {n: v.to(torch.int8) if v.ndim > 1 else v for n, v in s.items()}),
        "are I8, quantised",
    ),
    "fp8 weights": (lambda f: weights(f, lambda s: {**s, DENSE: s[DENSE].to(torch.float8_e4m3fn)}), "are F8_E4M3"),
    "a missing tensor": (
        lambda f: weights(f, without(DENSE)),
        f"1 tensors of a xlm-roberta encoder are missing ({DENSE}",
    ),
    "no tensors": (lambda f: weights(f, lambda s: {}), "model.safetensors holds no tensors"),
    "another shape": (
        lambda f: weights(f, lambda s: {**s, DENSE: s[DENSE][:, :-1].contiguous()}),
        f"1 tensors have another shape than config.json says ({DENSE} is [32, 63], not [32, 64])",
    ),
    "another width": (lambda f: config(f, hidden_size=64), "tensors have another shape than config.json says"),
    "too few layers": (lambda f: config(f, num_hidden_layers=3), "tensors of a xlm-roberta encoder are missing"),
    "more layers than the config": (
        lambda f: config(f, num_hidden_layers=1),
        "16 tensors of layers that it does not have",
    ),
    "too few embedding rows": (
        lambda f: (config(f, vocab_size=100), weights(f, lambda s: {**s, WORDS: s[WORDS][:100].contiguous()})),
        "the tokenizer has ids up to 199 and the word embeddings 100 rows",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer; one of these is needed"),
    "truncated tokenizer": (lambda f: cut(f, "tokenizer.json", 300), "the tokenizer cannot be read"),
    "a pickle": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "the weights are a pickle (.bin), which is never loaded",
    ),
}


def test_a_good_checkpoint_passes(folder: Path) -> None:
    assert checkpoint_problems(folder) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checkpoint_is_told(folder: Path, name: str) -> None:
    spoil, message = BROKEN[name]
    spoil(folder)
    problems = checkpoint_problems(folder)
    assert any(message in problem for problem in problems), problems
    for problem in problems:
        assert str(folder) in problem, "each names its file"
        assert "\n" not in problem
        assert ";" in problem, "each says what to do"


def test_all_problems_are_told_at_once(folder: Path) -> None:
    config(folder, hidden_size="32", pad_token_id=None)
    (folder / "tokenizer.json").unlink()
    cut(folder, "model.safetensors", 5000)
    assert len(checkpoint_problems(folder)) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_like_the_published_ones_pass(kind: str, text_file: Path, tmp_path: Path) -> None:
    """In the files that they come in, alone and with a masked language modelling head."""
    make_checkpoint(kind, tmp_path / kind, text_file)
    raw = tmp_path / kind / "raw"
    assert checkpoint_problems(raw) == []
    if kind != "xlnet":
        AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(raw)).save_pretrained(raw)
        assert checkpoint_problems(raw) == []
    AutoModel.from_pretrained(raw).half().save_pretrained(raw, max_shard_size="20KB")
    (raw / "model.safetensors").unlink(missing_ok=True)
    assert checkpoint_problems(raw) == []


def test_a_tensor_that_the_index_lists_and_no_shard_holds(folder: Path) -> None:
    AutoModel.from_pretrained(folder).save_pretrained(folder, max_shard_size="20KB")
    (folder / "model.safetensors").unlink()
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"]["encoder.more"] = next(iter(index["weight_map"].values()))
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "lists 1 tensors that are not in its files (encoder.more" in checkpoint_problems(folder)[0]
