"""XLM's tokenizer as a fast tokenizer."""

import json
from pathlib import Path

import pyarrow as pa
from transformers import AutoTokenizer

from stilts.tasks.base import get_task
from stilts.tasks.families import Lengths, get_family
from stilts.train.xlm import convert_xlm_tokenizer, fast_xlm_tokenizer


def test_xlm_tokenizer(tmp_path: Path):
    pieces = ["<s>", "</s>", "<pad>", "<unk>", *(f"<special{i}>" for i in range(10)), *"dont'.,"]
    ends = [f"{char}</w>" for char in "dont'.,"]
    vocabulary = {piece: i for i, piece in enumerate([*pieces, *ends, "don</w>", "'t</w>"])}
    # `do`, which a later merge always swallows, is not in the vocabulary.
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("d o 9\ndo n</w> 8\n' t</w> 7\n")
    tokenizer = fast_xlm_tokenizer(tmp_path)
    assert tokenizer.tokenize("Don’t, don't.") == ["don</w>", "'t</w>", ",</w>", "don</w>", "'t</w>", ".</w>"]
    encoding = tokenizer("don't", return_offsets_mapping=True)
    assert encoding["offset_mapping"][1:3] == [(0, 3), (3, 5)]
    split = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str
    words = [word for word, _ in split("The U.S. paid 1,000.5 (l'été), he said. The end...")]
    assert words == [
        "The",
        "U.S.",
        "paid",
        "1,000.5",
        "(",
        "l'",
        "été",
        ")",
        ",",
        "he",
        "said",
        ".",
        "The",
        "end",
        "...",
    ]
    table = pa.table({"id": ["0"], "text": ["do dot don"]})
    row = get_family("mlm").encode(table, tokenizer, get_task("mlm"), Lengths(64), True).to_pylist()[0]
    assert max(row["input_ids"]) < len(vocabulary)
    assert tokenizer.unk_token_id in row["input_ids"]
    # A vocabulary with capitals is one of text with capitals, if nothing else is said.
    (tmp_path / "vocab.json").write_text(json.dumps({**vocabulary, "D": len(vocabulary)}))
    assert fast_xlm_tokenizer(tmp_path).tokenize("D")[0] != tokenizer.tokenize("D")[0] == "d</w>"


def test_a_checkpoint_is_converted_in_place(tmp_path: Path) -> None:
    pieces = ["<s>", "</s>", "<pad>", "<unk>", *(f"<special{i}>" for i in range(10)), "a</w>", "b</w>"]
    convert_xlm_tokenizer(tmp_path)
    assert not list(tmp_path.iterdir()), "without XLM's files there is nothing to convert"
    (tmp_path / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (tmp_path / "merges.txt").write_text("")
    convert_xlm_tokenizer(tmp_path)
    assert not (tmp_path / "vocab.json").exists()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.is_fast
    ids = tokenizer("a b")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids)[1:-1] == ["a</w>", "b</w>"]
    assert len(ids) == 4, "the architecture's special tokens stand around the text"
