"""Answers as XTREME's run_squad.py extracts them, for a comparison in kind with published results.

The script joins the subwords of the best span to a text and looks for it in the white-space words that the span
touches, after separating punctuation and Chinese characters from what is around them. Where it finds the text, the
answer is that part of the words; where it does not, the answer is all the words in full. With a SentencePiece
vocabulary it does not find what holds a punctuation mark or two Chinese characters in a row. In Chinese, where white
space is rare, the answer is then a clause or a whole paragraph (sizes: docs/differences.md).
"""

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_SPACES = " \t\r\n\u202f"
"""What separates words in the script; other white space of Unicode does not."""

_CHINESE = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
"""Blocks whose characters BERT's basic tokenizer makes words of their own."""


def official_answer(tokenizer: "PreTrainedTokenizerFast", context: str, start: int, end: int) -> str:
    """The answer of the span `context[start:end]`.

    Args:
        tokenizer: of the model that predicted the span.
        start: code point of its first token, `end` of the end of its last one, exclusive.
    """
    words = [(first, last) for first, last in _words(context) if first < end and last > start]
    if not words:
        return ""
    tokens: list[str] = []
    for first, last in words:
        encoded = tokenizer(context[first:last], add_special_tokens=False, return_offsets_mapping=True)
        pieces = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
        offsets = encoded["offset_mapping"]
        inside = (max(a, start - first) < min(b, end - first) for a, b in offsets)
        tokens += [piece for piece, kept in zip(pieces, inside, strict=True) if kept]
    text = " ".join(tokenizer.convert_tokens_to_string(tokens).split())
    return find_answer(text, " ".join(context[first:last] for first, last in words))


def find_answer(text: str, words: str) -> str:
    """The part of `words` that reads as `text`, or all of `words` where it cannot be found."""
    separated = _separate(words)
    at = separated.find(text)
    place = [i for i, char in enumerate(words) if char != " "]
    if at < 0 or len(place) != len(separated.replace(" ", "")):
        return words
    before, within = (len(part.replace(" ", "")) for part in (separated[:at], text))
    return words[place[before] : place[before + within - 1] + 1] if within else words


def _words(context: str) -> list[tuple[int, int]]:
    """First code point and end of each word."""
    words, first = [], None
    for i, char in enumerate([*context, " "]):
        if char in _SPACES:
            if first is not None:
                words.append((first, i))
            first = None
        elif first is None:
            first = i
    return words


def _separate(text: str) -> str:
    """BERT's basic tokenization of cased text: punctuation marks and Chinese characters are words of their own."""
    found = []
    for char in text:
        category = unicodedata.category(char)
        if char.isspace():
            found.append(" ")
        elif char == "\ufffd" or category.startswith("C"):
            continue
        elif category.startswith("P") or _is_symbol(char) or any(a <= ord(char) <= b for a, b in _CHINESE):
            found.append(f" {char} ")
        else:
            found.append(char)
    return " ".join("".join(found).split())


def _is_symbol(char: str) -> bool:
    """ASCII characters that are neither letters, digits nor blanks; BERT treats all of them as punctuation."""
    return char.isascii() and char.isprintable() and not char.isalnum()
