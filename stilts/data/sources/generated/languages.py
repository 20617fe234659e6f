"""Languages: the word order, script and bilingual lexicon of each invented language.

The first three differ in type: verb-final, verb-initial, and one with the word order of Romance languages in Cyrillic
script. Further languages repeat these types with their own phonologies and words.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stilts.data.sources.generated.lexicon import FUNCTION_WORDS, LOANS, NAMES, WORDS
from stilts.errors import StiltsError

_CYRILLIC = str.maketrans(
    dict(zip("abcdefghijklmnoprstuvwyzABCDEGHJLMOT", "абкдефгхийклмнопрстуввызАБКДЕГХЙЛМОТ", strict=True)) | {"x": "кс"}
)
_CONSONANTS = "bdfghjklmnprstvz"
_VOWELS = "aeiou"
_MAX_LANGUAGES = 520


@dataclass(frozen=True)
class Language:
    """Word order and lexicon of a language.

    Attributes:
        code: `en`, or an ISO 639-3 private-use code.
        order: order of the constituents of a statement: Subject, Verb, Object (or predicate), Place, Adverbial of time.
        adjective_first: whether an adjective precedes its noun.
        prepositions: whether adpositions precede their noun phrase.
        articles: whether the language has words for `the` and `a`.
        words: (lemma, tag) -> form. Other words (all of English, numerals) keep their lemma as form.
    """

    code: str
    order: str
    adjective_first: bool = True
    prepositions: bool = True
    articles: bool = True
    words: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def english(self) -> bool:
        """Whether this is English, the only language with inflection."""
        return self.code == "en"

    def form(self, lemma: str, tag: str) -> str:
        """The form of a lemma in this language."""
        return self.words.get((lemma, tag), lemma)


ENGLISH = Language("en", "SVOPA")

_TYPES = (
    Language("", "ASPOV", prepositions=False, articles=False),
    Language("", "VSOPA", adjective_first=False, articles=False),
    Language("", "SVOPA", adjective_first=False),
)
_IN_CYRILLIC = 2


def codes(count: int) -> list[str]:
    """The first `count` private-use codes, starting with `qaa`.

    Raises:
        StiltsError: ISO 639-3 reserves fewer than `count` codes.
    """
    if count > _MAX_LANGUAGES:
        raise StiltsError(f"generate.languages is {count}; there are {_MAX_LANGUAGES} private-use codes (qaa to qtz)")
    return [f"q{chr(ord('a') + i // 26)}{chr(ord('a') + i % 26)}" for i in range(count)]


def invent(count: int, seed: int) -> list[Language]:
    """Invent `count` languages. Apart from names and loan words, no two languages (English included) share a form."""
    taken = {lemma for lemma, _ in WORDS}
    languages = []
    for index, code in enumerate(codes(count)):
        words = _lexicon(random.Random(f"{seed} {code}"), taken)
        if index % len(_TYPES) == _IN_CYRILLIC:
            words = {key: form.translate(_CYRILLIC) for key, form in words.items()}
        languages.append(replace(_TYPES[index % len(_TYPES)], code=code, words=words))
    return languages


def _lexicon(rng: random.Random, taken: set[str]) -> dict[tuple[str, str], str]:
    """Invent a form for every word, from a random phonology of the language. The forms are added to `taken`."""
    consonants, vowels = rng.sample(_CONSONANTS, 9), rng.sample(_VOWELS, 4)
    endings = [*rng.sample(consonants, 3), ""]
    words = {(name, "PROPN"): name for name in NAMES}
    for lemma, tag in WORDS:
        syllables = 1.0 if (lemma, tag) in FUNCTION_WORDS else 2.0
        form = lemma if lemma in LOANS else ""
        while not form or (form in taken and lemma not in LOANS):
            form = "".join(rng.choice(consonants) + rng.choice(vowels) for _ in range(int(syllables)))
            form += rng.choice(endings)
            syllables += 0.1  # after ten forms that are taken, one more syllable, so that a free form exists
        taken.add(form)
        words[lemma, tag] = form
    return words
