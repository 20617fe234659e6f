"""The official extraction of answers: what run_squad.py makes of spans, worked out by hand from its rules."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from stilts.tasks.families.extraction import find_answer, official_answer


@pytest.fixture(scope="module")
def pieces() -> PreTrainedTokenizerFast:
    """A vocabulary in the manner of SentencePiece: a piece a character, with a sign before each word."""
    chars = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789.,()%$-在北京大学，。年的天"
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), *((char, -1.0) for char in chars)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def answer(tokenizer: PreTrainedTokenizerFast, context: str, text: str) -> str:
    start = context.index(text)
    return official_answer(tokenizer, context, start, start + len(text))


@pytest.mark.parametrize(
    ("context", "text", "official"),
    [
        ("in a big house", "big house", "big house"),
        ("in a big house", "hous", "hous"),  # a part of a word is found in it
        ("in (big) house", "big", "big"),  # a mark is separated from its word
        ("in (big) house", "(big)", "(big)"),  # the text "(big)" is not in "( big )": the whole word, which is the same
        ("it is 1,000 big", "1,0", "1,000"),  # "1,0" is not in "1 , 000"
        ("a big-house.", "big-house", "big-house."),
        ("在北京大学，2008年的天。 在", "北京大学", "在北京大学，2008年的天。"),  # a clause instead of a name
        ("在北京大学，2008年的天。 在", "2008", "2008"),
        ("在北京大学，2008年的天。 在", "北", "北"),
        ("a  big \n house", "big \n house", "big house"),
    ],
)
def test_an_answer_that_is_not_found_is_whole_words(
    pieces: PreTrainedTokenizerFast, context: str, text: str, official: str
) -> None:
    assert answer(pieces, context, text) == official


def test_wordpieces_separate_chinese_characters_as_the_script_does() -> None:
    """mBERT's tokenizer joins pieces with a blank between characters, so that the script finds them."""
    vocabulary = {piece: i for i, piece in enumerate(["[UNK]", *"在北京大学，。", "20", "##08"])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split(pattern="", behavior="isolated")]
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")
    assert answer(fast, "在北京大学，在。", "北京大学") == "北京大学"


def test_text_that_the_tokenizer_has_changed_is_not_found() -> None:
    assert find_answer("1/2 km", "½ km") == "½ km"
    assert find_answer("km", "½ km") == "km"
    assert find_answer("a b", "a\u00a0b") == "a\u00a0b"  # white space that the script does not strip
    assert find_answer("", "abc") == "abc"


def test_the_class_token_has_no_answer(pieces: PreTrainedTokenizerFast) -> None:
    assert official_answer(pieces, "a big house", 0, 0) == ""
