"""Loading the tokenizer of a checkpoint."""

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from stilts.errors import StiltsError
from stilts.train.tokenizer import load_tokenizer


def _copy(base: Path, folder: Path) -> Path:
    return Path(shutil.copytree(base, folder))


def test_a_tokenizer_keeps_its_own_special_tokens(base: Path) -> None:
    loaded, plain = load_tokenizer(base), AutoTokenizer.from_pretrained(base)
    assert loaded("ba de")["input_ids"] == plain("ba de")["input_ids"]
    assert loaded("ba", "de")["input_ids"] == plain("ba", "de")["input_ids"]


def test_missing_special_tokens_are_added_as_the_architecture_has_them(base: Path, tmp_path: Path) -> None:
    bare = _copy(base, tmp_path / "bare")
    content = json.loads((bare / "tokenizer.json").read_text())
    (bare / "tokenizer.json").write_text(json.dumps({**content, "post_processor": None}))
    assert Tokenizer.from_file(str(bare / "tokenizer.json")).num_special_tokens_to_add(False) == 0
    loaded, whole = load_tokenizer(bare), load_tokenizer(base)
    for texts in (("ba de",), ("ba", "de")):
        assert loaded(*texts)["input_ids"] == whole(*texts)["input_ids"]


def test_a_tokenizer_without_special_tokens_is_refused(base: Path, tmp_path: Path) -> None:
    nameless = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>")))
    nameless.save_pretrained(tmp_path)
    shutil.copy(base / "config.json", tmp_path)
    with pytest.raises(StiltsError, match="names no cls_token and sep_token"):
        load_tokenizer(tmp_path)
