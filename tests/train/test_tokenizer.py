"""Loading the tokenizer of a checkpoint."""

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from stilts.errors import StiltsError
from stilts.train.tokenizer import load_tokenizer, save_tokenizer


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


def test_folders_with_the_same_files_share_a_tokenizer(base: Path, tmp_path: Path) -> None:
    assert load_tokenizer(_copy(base, tmp_path / "same")) is load_tokenizer(base)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_folder_with_another_file_has_a_tokenizer_of_its_own(base: Path, tmp_path: Path, name: str) -> None:
    other = _copy(base, tmp_path / "other")
    content = json.loads((other / name).read_text())
    changed = {**content, "mask_token": "<s>"} if name != "tokenizer.json" else {**content, "normalizer": None}
    (other / name).write_text(json.dumps(changed))
    loaded, own = load_tokenizer(base), load_tokenizer(other)
    assert own is not loaded
    tokens, rules = own.mask_token, own.backend_tokenizer.normalizer
    assert (tokens, rules) != (loaded.mask_token, loaded.backend_tokenizer.normalizer)


def test_a_tokenizer_is_saved_alike_each_time(base: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(base)
    saved = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        save_tokenizer(tokenizer, tmp_path / name)
        tokenizer("ba de")
        saved.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert saved[0] == saved[1]
    shutil.copy(base / "config.json", tmp_path / "first")
    assert load_tokenizer(tmp_path / "first")("ba", "de")["input_ids"] == tokenizer("ba", "de")["input_ids"]


def test_truncation_and_padding_that_a_file_asks_for_are_off(base: Path, tmp_path: Path) -> None:
    asking = _copy(base, tmp_path / "asking")
    backend = Tokenizer.from_file(str(asking / "tokenizer.json"))
    backend.enable_truncation(3)
    backend.enable_padding(length=9)
    backend.save(str(asking / "tokenizer.json"))
    loaded = load_tokenizer(asking).backend_tokenizer
    assert (loaded.truncation, loaded.padding) == (None, None)
