"""Languages: word order, script and the bilingual lexicon of each invented language.

The first three are unlike each other: verb-final, verb-initial, and one ordered like Romance in Cyrillic letters;
further ones repeat the pattern with phonologies and words of their own.
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
    """How a language orders and writes its words.

    Attributes:
        code: `en`, or an ISO 639-3 private-use code.
        order: constituents of a statement: Subject, Verb, Object (or predicate), Place, Adverbial of time.
        adjective_first: adjective before its noun.
        prepositions: adposition before its noun phrase.
        articles: whether it says `the` and `a`.
        words: (lemma, tag) -> form; what is not there (English words, numerals) stays as it is.
    """

    code: str
    order: str
    adjective_first: bool = True
    prepositions: bool = True
    articles: bool = True
    words: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def english(self) -> bool:
        """Whether this is English, the one language with inflection."""
        return self.code == "en"

    def form(self, lemma: str, tag: str) -> str:
        """The word of a lemma."""
        return self.words.get((lemma, tag), lemma)


ENGLISH = Language("en", "SVOPA")

_TYPES = (
    Language("", "ASPOV", prepositions=False, articles=False),
    Language("", "VSOPA", adjective_first=False, articles=False),
    Language("", "SVOPA", adjective_first=False),
)
_IN_CYRILLIC = 2


def codes(count: int) -> list[str]:
    """The first `count` private-use codes, from `qaa` on.

    Raises:
        StiltsError: ISO 639-3 reserves fewer.
    """
    if count > _MAX_LANGUAGES:
        raise StiltsError(f"generate.languages is {count}; there are {_MAX_LANGUAGES} private-use codes (qaa to qtz)")
    return [f"q{chr(ord('a') + i // 26)}{chr(ord('a') + i % 26)}" for i in range(count)]


def invent(count: int, seed: int) -> list[Language]:
    """`count` invented languages; no word of one is a word of another or of English, but for names and loans."""
    taken = {lemma for lemma, _ in WORDS}
    languages = []
    for index, code in enumerate(codes(count)):
        words = _lexicon(random.Random(f"{seed} {code}"), taken)
        if index % len(_TYPES) == _IN_CYRILLIC:
            words = {key: form.translate(_CYRILLIC) for key, form in words.items()}
        languages.append(replace(_TYPES[index % len(_TYPES)], code=code, words=words))
    return languages


def _lexicon(rng: random.Random, taken: set[str]) -> dict[tuple[str, str], str]:
    """A form for every word, from a phonology of the language's own; adds the forms to `taken`."""
    consonants, vowels = rng.sample(_CONSONANTS, 9), rng.sample(_VOWELS, 4)
    endings = [*rng.sample(consonants, 3), ""]
    words = {(name, "PROPN"): name for name in NAMES}
    for lemma, tag in WORDS:
        syllables = 1.0 if (lemma, tag) in FUNCTION_WORDS else 2.0
        form = lemma if lemma in LOANS else ""
        while not form or (form in taken and lemma not in LOANS):
            form = "".join(rng.choice(consonants) + rng.choice(vowels) for _ in range(int(syllables)))
            form += rng.choice(endings)
            syllables += 0.1  # longer after ten homonyms, so that there is always a free form
        taken.add(form)
        words[lemma, tag] = form
    return words
