"""Raw text of the generated corpus."""

import random

import pytest

from stilts.data.sources.generated.corpus import glossed, line, retold
from stilts.data.sources.generated.languages import ENGLISH, invent
from stilts.data.sources.generated.lexicon import LOANS, WORDS
from stilts.data.sources.generated.world import held_out

(QAA,) = invent(1, seed=0)


def _english_share(text: str) -> float:
    """Share of the words that are forms of English alone."""
    words = [word.strip(".,?").lower() for word in text.split()]
    forms = {form for _, form in QAA.words.items()}
    return sum(word not in forms for word in words) / len(words)


def test_text_of_a_language_is_beside_and_mixed_with_english() -> None:
    rng = random.Random(0)
    shares = [_english_share(line(rng, QAA)) for _ in range(300)]
    assert 0.2 < sum(shares) / len(shares) < 0.6
    assert sum(0 < share < 1 for share in shares) > 100


def test_english_text_has_english_words_alone() -> None:
    rng = random.Random(0)
    forms = {form for (lemma, _), form in QAA.words.items() if lemma not in LOANS and form != lemma}
    for _ in range(100):
        assert not forms & {word.strip(".,?") for word in line(rng, ENGLISH).split()}


def test_every_word_of_the_lexicon_comes_to_stand_in_a_word_list() -> None:
    rng = random.Random(0)
    text = " ".join(glossed(rng, QAA) for _ in range(8000))
    words = set(text.replace(",", "").replace(".", "").split())
    lacking = [QAA.form(*word) for word in WORDS if QAA.form(*word) not in words]
    assert not lacking


def test_raw_text_has_no_sentence_of_the_evaluation_sets() -> None:
    rng = random.Random(0)
    for _ in range(200):
        assert not any(
            held_out(part.strip() + ".") for part in retold(rng, ENGLISH).split(".") if part.strip() and "?" not in part
        )


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_seeds_give_equal_text(seed: int) -> None:
    one, two = (line(random.Random(seed), QAA) for _ in range(2))
    assert one == two
