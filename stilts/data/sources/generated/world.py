"""The world that the corpus speaks of: drawing statements at random, so that what people do fits where they are.

Every statement belongs to training or to evaluation by a hash of its English form; texts to train on are made of the one
half, dev and test sets of the other, whatever the order of drawing.
"""

import hashlib
import random
from dataclasses import replace

from stilts.data.sources.generated.grammar import Clause, Phrase, say, text
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

_THINGS_ADJECTIVES = [*COLOURS, *COLOURS, *(word for pair in PAIRS for word in pair)]
_LIVING_ADJECTIVES = [word for pair in FEELINGS for word in pair]
_LIVING = frozenset(noun for topic in TOPICS.values() for noun in (*topic.people, *topic.animals))


def held_out(clause: Clause) -> bool:
    """Whether a statement is kept for dev and test sets (one in six)."""
    digest = hashlib.sha256(text(say(clause, ENGLISH)).encode()).digest()
    return digest[0] % 6 == 0


def topic(rng: random.Random) -> Topic:
    """One of the topics."""
    return TOPICS[rng.choice(list(TOPICS))]


def name(rng: random.Random) -> Phrase:
    """A person's name."""
    return Phrase(rng.choice(NAMES), "PROPN", "")


def adjective(rng: random.Random, noun: str) -> str:
    """A property that such a thing or being can have."""
    return rng.choice(_LIVING_ADJECTIVES if noun in _LIVING else _THINGS_ADJECTIVES)


def thing(rng: random.Random, noun: str, plain: float = 0.4) -> Phrase:
    """A noun phrase about a noun; with probability `plain` without adjective."""
    det = rng.choices(("the", "a", "this"), (6, 3, 1))[0]
    return Phrase(noun, det=det, adjective=None if rng.random() < plain else adjective(rng, noun))


def someone(rng: random.Random, about: Topic) -> Phrase:
    """Who acts: a name, or a person or an animal of the topic."""
    kind = rng.random()
    if kind < 0.5:
        return name(rng)
    return thing(rng, rng.choice(about.people if kind < 0.8 else about.animals), plain=0.6)


def place(rng: random.Random, about: Topic) -> tuple[str, Phrase]:
    """Preposition and place of the topic."""
    return rng.choice((*PREPOSITIONS, "in", "in")), Phrase(rng.choice(about.places))


def time(rng: random.Random) -> str:
    """An adverb of time or an hour."""
    return rng.choice(TIMES if rng.random() < 0.5 else HOURS)


def deed(rng: random.Random, about: Topic, evaluation: bool) -> Clause:
    """Someone of the topic does something of the topic to something, of the training or the evaluation half."""
    while True:
        subject, verb = someone(rng, about), rng.choice(list(about.acts))
        nouns = about.acts[verb]
        if subject.noun in about.animals or rng.random() < 0.35:
            verb, nouns = rng.choice(GENERAL_VERBS), (*about.things, *about.people, *about.animals)
        noun = rng.choice([noun for noun in nouns if noun != subject.noun])
        clause = Clause(subject, verb, thing(rng, noun), place=place(rng, about))
        clause = replace(
            clause,
            place=clause.place if rng.random() < 0.5 else None,
            time=time(rng) if rng.random() < 0.3 else None,
        )
        if rng.random() < 0.4:
            clause = replace(clause, fronted="P" if clause.place else "A" if clause.time else "")
        if held_out(clause) == evaluation:
            return clause


def statement(rng: random.Random, about: Topic, evaluation: bool) -> Clause:
    """A deed, denied or made possible at times, or what someone is or where someone rests."""
    kind = rng.random()
    while kind < 0.3:
        clause = Clause(someone(rng, about), "be", place=place(rng, about))
        if kind < 0.1:
            clause = replace(clause, verb=rng.choice(STILL_VERBS))
        elif kind < 0.2:
            noun = rng.choice((*about.things, *about.animals, *about.people))
            clause = Clause(Phrase(noun), "be", predicate=adjective(rng, noun))
        if held_out(clause) == evaluation:
            return clause
    clause = deed(rng, about, evaluation)
    if kind < 0.4:
        return replace(clause, modal="can")
    return replace(clause, negative=kind < 0.47)


def pronoun(phrase: Phrase) -> Phrase:
    """`she`, `he` or `it` for a noun phrase."""
    if phrase.tag == "PROPN":
        return Phrase("she" if phrase.noun in SHE else "he", "PRON", "")
    return Phrase("it", "PRON", "")
