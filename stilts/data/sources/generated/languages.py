"""Languages: word order, script and the bilingual lexicon of each invented language.

The first three are typologically unlike each other (verb-final, verb-initial, and one in Cyrillic letters); further ones
repeat the pattern with another phonology.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from stilts.data.sources.generated.lexicon import FUNCTION_WORDS, LOANS, NAMES, WORDS
from stilts.errors import StiltsError

_CYRILLIC = str.maketrans("abcdefghijklmnoprstuvwyzABCDEGHJLMOT", "абкдефгхижклмнопрстуввызАБКДЕГХЙЛМОТ")
_CONSONANTS = "bdfghjklmnprstvz"
_VOWELS = "aeiou"
_MAX_LANGUAGES = 520


@dataclass(frozen=True)
class Language:
    """How a language orders and writes its words.

    Attributes:
        code: `en`, or an ISO 639-3 private-use code.
        order: constituents in order: Subject, Verb, Object (or predicate), Place, Adverb of time.
        adjective_first: adjective before its noun.
        prepositions: adposition before its noun phrase.
        article: where the determiner stands: `before`, `after`, or `none` where there are no articles.
        words: (lemma, tag) -> form; what is not there (English words, numerals) stays as it is.
    """

    code: str
    order: str
    adjective_first: bool
    prepositions: bool
    article: str
    words: Mapping[tuple[str, str], str]

    @property
    def english(self) -> bool:
        """Whether this is English, the one language with inflection."""
        return self.code == "en"

    def form(self, lemma: str, tag: str) -> str:
        """The word of a lemma."""
        return self.words.get((lemma, tag), lemma)


ENGLISH = Language("en", "SVOPA", adjective_first=True, prepositions=True, article="before", words={})

_TYPES = (
    {"order": "ASPOV", "adjective_first": True, "prepositions": False, "article": "none"},
    {"order": "VSOPA", "adjective_first": False, "prepositions": True, "article": "none"},
    {"order": "SVOPA", "adjective_first": False, "prepositions": True, "article": "before"},
)


def codes(count: int) -> list[str]:
    """The first `count` private-use codes, from `qaa` on.

    Raises:
        StiltsError: ISO 639-3 reserves fewer.
    """
    if count > _MAX_LANGUAGES:
        raise StiltsError(f"generate.languages is {count}; there are {_MAX_LANGUAGES} private-use codes (qaa to qtz)")
    return [f"q{chr(ord('a') + i // 26)}{chr(ord('a') + i % 26)}" for i in range(count)]


def invent(count: int, seed: int) -> list[Language]:
    """`count` invented languages; no form of one is a form of another or of English, loans excepted."""
    taken = {lemma for lemma, _ in WORDS}
    languages = []
    for index, code in enumerate(codes(count)):
        words = _lexicon(random.Random(f"{seed} {code}"), taken)
        if index % len(_TYPES) == len(_TYPES) - 1:
            words = {key: form.translate(_CYRILLIC) for key, form in words.items()}
        languages.append(Language(code=code, words=words, **_TYPES[index % len(_TYPES)]))  # type: ignore[arg-type]
    return languages


def _lexicon(rng: random.Random, taken: set[str]) -> dict[tuple[str, str], str]:
    """A form for every word, from a phonology of the language's own; adds the forms to `taken`."""
    consonants, vowels = rng.sample(_CONSONANTS, 9), rng.sample(_VOWELS, 4)
    coda = rng.sample(consonants, 3)
    words = {(name, "PROPN"): name for name in NAMES}
    for lemma, tag in WORDS:
        if lemma in LOANS:
            words[lemma, tag] = lemma
            continue
        syllables = 1 if (lemma, tag) in FUNCTION_WORDS else 2
        form = ""
        while not form or form in taken:
            form = "".join(rng.choice(consonants) + rng.choice(vowels) for _ in range(syllables))
            form += rng.choice([*coda, ""])
            syllables += rng.random() < 0.1
        taken.add(form)
        words[lemma, tag] = form
    return words
