"""Base models."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from stilts.encoders.checkpoint_files import checkpoint_digest, local_checkpoint_problems
from stilts.errors import Problems, StiltsError
from stilts.train.base import materialise_base, train_tokenizer
from tests.train.toys import make_base


def test_a_base_made_on_the_spot_loads(base: Path):
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModel.from_pretrained(base)
    assert model.config.model_type == "xlm-roberta"
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.max_position_embeddings == 514
    assert local_checkpoint_problems(base) == []


def test_the_same_identity_gives_the_same_weights_and_tokenizer(base: Path, text_file: Path, tmp_path: Path):
    again = make_base(tmp_path, text_file, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    ours, theirs = load_file(base / "model.safetensors"), load_file(again / "model.safetensors")
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert checkpoint_digest(again) == checkpoint_digest(base)


def test_the_tokenizer_is_xlm_rs_in_form(text_file: Path):
    tokenizer = train_tokenizer([text_file], 200)
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3, len(tokenizer) - 1]) == [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "<mask>",
    ]
    encoded = tokenizer("ba de", "fi", return_offsets_mapping=True)
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    assert tokens[0] == "<s>"
    assert tokens[-1] == "</s>"
    assert tokens.count("</s>") == 3
    assert tokens[1].startswith("▁")
    assert "token_type_ids" not in encoded
    assert max(end for _, end in encoded["offset_mapping"]) == 5
    words = tokenizer(["ba", "de"], is_split_into_words=True)
    assert {0, 1} <= set(words.word_ids())


def test_a_small_text_gives_a_small_vocabulary(tmp_path: Path):
    text = tmp_path / "text.txt"
    text.write_text("ab ba ab\n")
    tokenizer = train_tokenizer([text], 1000)
    assert 5 < len(tokenizer) < 20
    assert len(train_tokenizer([text], 1000)) == len(tokenizer)
    text.write_text("")
    with pytest.raises(StiltsError, match="needs text"):
        train_tokenizer([text], 1000)


def test_a_local_checkpoint_is_copied(base: Path, tmp_path: Path):
    identity = {"path": str(base), "files": checkpoint_digest(base)}
    materialise_base(identity, tmp_path / "out")
    assert checkpoint_digest(tmp_path / "out") == identity["files"]
    with pytest.raises(StiltsError, match="have changed"):
        materialise_base({**identity, "files": "0" * 64}, tmp_path / "other")


def test_problems_of_a_local_checkpoint_are_named(base: Path, tmp_path: Path):
    assert "no such folder" in local_checkpoint_problems(tmp_path / "nowhere")[0]
    broken = tmp_path / "broken"
    shutil.copytree(base, broken)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (broken / name).unlink()
    (broken / "pytorch_model.bin").write_bytes(b"")
    problems = "\n".join(local_checkpoint_problems(broken))
    assert "config.json is missing" in problems
    assert "no tokenizer" in problems
    assert "pickle" in problems
    with pytest.raises(Problems):
        materialise_base({"path": str(broken)}, tmp_path / "out")


def test_shards_are_part_of_a_checkpoint(base: Path, tmp_path: Path):
    sharded = tmp_path / "sharded"
    AutoModel.from_pretrained(base).save_pretrained(sharded, max_shard_size="20KB")
    AutoTokenizer.from_pretrained(base).save_pretrained(sharded)
    assert local_checkpoint_problems(sharded) == []
    next(iter(sharded.glob("model-00002*"))).unlink()
    assert "00002" in local_checkpoint_problems(sharded)[0]


def test_an_unknown_identity_is_refused(tmp_path: Path):
    with pytest.raises(StiltsError, match="hub, path or init"):
        materialise_base({}, tmp_path)


def test_a_vocabulary_smaller_than_the_alphabet_is_refused(tmp_path: Path) -> None:
    """26 letters, the mark of a word's beginning, four special tokens and the mask: 32 is the least that works."""
    text = tmp_path / "en.txt"
    text.write_text("abcdefghijklm nopqrstuvwxyz\n")
    with pytest.raises(StiltsError, match=r"vocab_size 31 is too small: .* take 32"):
        train_tokenizer([text], 31)
    assert len(train_tokenizer([text], 32)) == 32
