import pyarrow as pa
import pytest

from stilts.errors import StiltsError
from stilts.tasks.families import get_family
from stilts.tasks.families.base import Lengths
from stilts.tasks.families.subwords import Frame, tokenize, tokenize_spans


def test_framed_pairs_equal_the_tokenizers_own(any_tokenizer):
    first = ["A man is playing.", "北京大学", "", "She moved"]
    second = ["กรุงเทพมหานคร", "to Paris", "x", ""]
    frame = Frame(any_tokenizer, pair=True)
    columns = frame.columns(tokenize(pa.array(first), any_tokenizer), tokenize(pa.array(second), any_tokenizer))
    own = any_tokenizer(first, second)
    assert set(columns) == set(any_tokenizer.model_input_names) - {"attention_mask"}
    for name, column in columns.items():
        assert column.to_pylist() == own[name]


def test_framed_single_texts_equal_the_tokenizers_own(any_tokenizer):
    texts = ["A man is playing.", "", "北京大学"]
    columns = Frame(any_tokenizer).columns(tokenize(pa.array(texts), any_tokenizer))
    assert columns["input_ids"].to_pylist() == any_tokenizer(texts)["input_ids"]


def test_offsets_are_code_points(tokenizer):
    text = "In 北京 🙂 กรุงเทพ ok"
    spans = tokenize_spans(pa.array([text]), tokenizer)
    pieces = [text[start:end] for start, end in zip(spans.starts[0], spans.ends[0], strict=True)]
    assert pieces[-1] == text[-len(pieces[-1]) :]
    assert "".join(dict.fromkeys("".join(pieces))) == "".join(dict.fromkeys(text.replace(" ", "")))


def test_literal_tokens_and_repeated_texts(tokenizer):
    texts = ["to Paris", "She moved", "to Paris"]
    assert tokenize(pa.chunked_array([texts[:1], texts[1:]]), tokenizer).arrow().to_pylist() == [
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts
    ]


def test_no_room_is_refused(tokenizer):
    with pytest.raises(StiltsError, match="max_length 4 leaves no room"):
        Frame(tokenizer, pair=True).room(4)


def test_unknown_family():
    with pytest.raises(StiltsError, match="did you mean 'tagging'"):
        get_family("taging")


def test_lengths_come_from_recipes_and_settings():
    from stilts.experiment.recipe import Recipe

    assert Lengths.of(Recipe(max_length=384, stride=128, max_query_length=64)) == Lengths(384, 128, 64)
    settings = {"max_length": 64, "n_best": 5, "layer": 14}
    assert Lengths.of(settings) == Lengths(64, n_best=5)
