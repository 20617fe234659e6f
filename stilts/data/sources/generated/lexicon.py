"""Lexicon: the English words of the generated corpus, and the relations between them (topics, kinds, opposites).

A word is identified by its lemma and tag: `water` the noun and `water` the verb are two words, which have different
forms in the invented languages.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """The words that belong to one topic, such as farm or kitchen.

    Attributes:
        people: nouns for people.
        animals: nouns for animals.
        places: nouns for places.
        acts: verb -> the nouns that are its objects in this topic.
    """

    people: tuple[str, ...]
    animals: tuple[str, ...]
    places: tuple[str, ...]
    acts: dict[str, tuple[str, ...]]

    @property
    def things(self) -> tuple[str, ...]:
        """The objects of the topic's verbs that are neither people nor animals, without duplicates."""
        nouns = dict.fromkeys(noun for nouns in self.acts.values() for noun in nouns)
        return tuple(noun for noun in nouns if noun not in self.people + self.animals)


def _topic(people: str, animals: str, places: str, **acts: str) -> Topic:
    words = {verb: tuple(nouns.split()) for verb, nouns in acts.items()}
    return Topic(tuple(people.split()), tuple(animals.split()), tuple(places.split()), words)


TOPICS: dict[str, Topic] = {
    "farm": _topic("farmer", "horse cow", "field barn", feed="horse cow", ride="horse", grow="corn apple"),
    "kitchen": _topic("cook", "mouse", "kitchen", bake="bread cake", cut="cake pizza", boil="soup"),
    "school": _topic("teacher pupil", "parrot", "school", read="book letter", draw="map", write="letter"),
    "sea": _topic("sailor", "fish whale", "harbour", sail="boat ship", catch="fish", collect="shell"),
    "city": _topic("driver", "dog", "street station", drive="car bus taxi", stop="bus", park="car"),
    "garden": _topic("gardener", "bird", "garden", plant="flower tree", water="flower rose", pick="rose"),
    "theatre": _topic("singer", "bat", "theatre hotel", sing="song", play="guitar piano drum"),
}

GENERAL_VERBS = ("see", "love", "hate", "buy", "sell")
"""Verbs that take any noun as object."""

STILL_VERBS = ("sleep", "wait", "work")
"""Verbs without an object."""

COLOURS = ("red", "blue", "green", "black", "white")
PAIRS = (("big", "small"), ("old", "new"), ("clean", "dirty"))
"""Opposite adjectives for things."""
FEELINGS = (("happy", "sad"), ("fast", "slow"), ("big", "small"))
"""Opposite adjectives for living beings."""
VERB_PAIRS = (("love", "hate"), ("buy", "sell"))

KINDS: dict[str, tuple[str, ...]] = {
    "animal": tuple(noun for topic in TOPICS.values() for noun in topic.animals),
    "person": tuple(noun for topic in TOPICS.values() for noun in topic.people),
    "food": ("bread", "cake", "pizza", "soup", "corn", "apple"),
    "vehicle": ("car", "bus", "taxi", "boat", "ship"),
    "plant": ("flower", "tree", "rose"),
    "instrument": ("guitar", "piano", "drum"),
}
KIND_OF: dict[str, str] = {noun: kind for kind, nouns in KINDS.items() for noun in nouns}

OPPOSITES: dict[str, str] = {
    word: other for pair in (*PAIRS, *FEELINGS, *VERB_PAIRS) for word, other in (pair, pair[::-1])
}

NAMES = ("Anna", "Clara", "Emma", "Julia", "Lena", "Maria", "Ben", "David", "Hugo", "Leo", "Oskar", "Tom")
"""Names: the first half takes the pronoun `she`, the second half `he`."""
SHE = frozenset(NAMES[: len(NAMES) // 2])
LOANS = ("pizza", "taxi", "piano", "guitar", "hotel")
"""Nouns that all languages share (written in the script of the language)."""

TIMES = ("today", "often", "again")
HOURS = ("3", "4", "5", "6", "7", "8")
PREPOSITIONS = ("in", "near")
LINKS = (("and", "CCONJ"), ("but", "CCONJ"), ("because", "SCONJ"), ("if", "SCONJ"))
"""Conjunctions."""
FUNCTION_WORDS: tuple[tuple[str, str], ...] = (
    *((word, "DET") for word in ("the", "a", "this")),
    *((word, "PRON") for word in ("he", "she", "it", "who", "what")),
    *((word, "AUX") for word in ("be", "can")),
    *((word, "ADP") for word in (*PREPOSITIONS, "at")),
    *((word, "ADV") for word in (*TIMES, "where", "when")),
    *LINKS,
    ("not", "PART"),
)


def _content_words() -> dict[tuple[str, str], None]:
    topics = TOPICS.values()
    nouns = [n for t in topics for n in (*t.people, *t.animals, *t.places, *t.things)]
    verbs = [*(v for t in topics for v in t.acts), *GENERAL_VERBS, *STILL_VERBS]
    adjectives = [*COLOURS, *(a for pair in (*PAIRS, *FEELINGS) for a in pair)]
    words = [(n, "NOUN") for n in (*nouns, *KINDS, *LOANS, "colour")]
    words += [(v, "VERB") for v in verbs] + [(a, "ADJ") for a in adjectives]
    return dict.fromkeys(words)


WORDS: tuple[tuple[str, str], ...] = (*FUNCTION_WORDS, *_content_words())
"""All words that have a translation, as (lemma, tag): without names, numerals and punctuation."""
