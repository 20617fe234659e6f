"""Random statements that make sense: people, actions, objects and places of one sentence belong to one topic.

A hash of its English form assigns every sentence to training or to evaluation. Raw text and training sets contain only
training sentences, dev and test sets only evaluation sentences.
"""

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace

from stilts.data.sources.generated.grammar import Clause, Phrase, sentence, text
from stilts.data.sources.generated.languages import ENGLISH
from stilts.data.sources.generated.lexicon import (
    COLOURS,
    FEELINGS,
    GENERAL_VERBS,
    HOURS,
    NAMES,
    PAIRS,
    PREPOSITIONS,
    SHE,
    STILL_VERBS,
    TIMES,
    TOPICS,
    Topic,
)

_OF_THINGS = [*COLOURS, *COLOURS, *(word for pair in PAIRS for word in pair)]
_OF_THE_LIVING = [word for pair in FEELINGS for word in pair]
_LIVING = frozenset(noun for topic in TOPICS.values() for noun in (*topic.people, *topic.animals))


def held_out(english: str) -> bool:
    """Whether a sentence is reserved for dev and test sets, as one in six is."""
    return hashlib.sha256(english.encode()).digest()[0] % 6 == 0


def drawn(make: Callable[[], Clause], evaluation: bool) -> Clause:
    """Call `make` until its clause belongs to evaluation (or to training, if `evaluation` is false)."""
    while True:
        clause = make()
        if held_out(text(sentence(clause, ENGLISH))) == evaluation:
            return clause


def any_topic(rng: random.Random) -> Topic:
    """A random topic."""
    return TOPICS[rng.choice(list(TOPICS))]


def name(rng: random.Random) -> Phrase:
    """A random name of a person."""
    return Phrase(rng.choice(NAMES), "PROPN")


def adjective(rng: random.Random, noun: str) -> str:
    """A random adjective that fits a noun."""
    return rng.choice(_OF_THE_LIVING if noun in _LIVING else _OF_THINGS)


def noun_phrase(rng: random.Random, noun: str, plain: float = 0.4) -> Phrase:
    """A noun with a random determiner and, with probability 1 - `plain`, an adjective."""
    det = rng.choices(("the", "a", "this"), (6, 3, 1))[0]
    return Phrase(noun, det=det, adjective=None if rng.random() < plain else adjective(rng, noun))


def someone(rng: random.Random, about: Topic) -> Phrase:
    """A random subject: a name, or a person or an animal of the topic."""
    kind = rng.random()
    if kind < 0.5:
        return name(rng)
    return noun_phrase(rng, rng.choice(about.people if kind < 0.8 else about.animals), plain=0.6)


def anything(rng: random.Random, about: Topic) -> str:
    """A random noun of the topic."""
    return rng.choice((*about.things, *about.animals, *about.people))


def place(rng: random.Random, about: Topic) -> tuple[str, Phrase]:
    """A random preposition and place of the topic."""
    return rng.choice((*PREPOSITIONS, "in", "in")), Phrase(rng.choice(about.places))


def deed(rng: random.Random, about: Topic) -> Clause:
    """A random transitive clause of the topic, sometimes with a place or a time."""
    subject, verb = someone(rng, about), rng.choice(list(about.acts))
    nouns = about.acts[verb]
    if subject.noun in about.animals or rng.random() < 0.35:
        verb, nouns = rng.choice(GENERAL_VERBS), (*about.things, *about.people, *about.animals)
    noun = rng.choice([noun for noun in nouns if noun != subject.noun])
    clause = Clause(
        subject,
        verb,
        noun_phrase(rng, noun),
        place=place(rng, about) if rng.random() < 0.5 else None,
        time=rng.choice(rng.choice((TIMES, HOURS))) if rng.random() < 0.3 else None,
    )
    fronted = "P" if clause.place else "A" if clause.time else ""
    return replace(clause, fronted=fronted if rng.random() < 0.4 else "")


def statement(rng: random.Random, about: Topic) -> Clause:
    """A random statement: a `deed` (sometimes negated or with `can`), a place of someone, or a property."""
    kind = rng.random()
    if kind < 0.2:
        return Clause(someone(rng, about), "be" if kind < 0.1 else rng.choice(STILL_VERBS), place=place(rng, about))
    if kind < 0.3:
        noun = anything(rng, about)
        return Clause(Phrase(noun), "be", predicate=adjective(rng, noun), negative=rng.random() < 0.2)
    return replace(deed(rng, about), can=0.3 <= kind < 0.4, negative=0.4 <= kind < 0.5)


def pronoun(phrase: Phrase) -> Phrase:
    """The pronoun `she`, `he` or `it` for a noun phrase."""
    if phrase.tag == "PROPN":
        return Phrase("she" if phrase.noun in SHE else "he", "PRON")
    return Phrase("it", "PRON")
