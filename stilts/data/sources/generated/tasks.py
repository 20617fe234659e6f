"""Examples of each task, generated independently of the language, so that all languages have the same test set."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from stilts.data.sources.generated import world
from stilts.data.sources.generated.grammar import (
    FULL_STOP,
    WHAT,
    WHAT_COLOUR,
    WHO,
    Clause,
    Phrase,
    Word,
    fragment,
    joined,
    say,
    sentence,
    text,
)
from stilts.data.sources.generated.languages import ENGLISH, Language
from stilts.data.sources.generated.lexicon import COLOURS, HOURS, KIND_OF, LINKS, OPPOSITES, TIMES, TOPICS

LABELS = ("contradiction", "entailment", "neutral")
Said = Callable[[Language], list[Word]]
"""Returns the words of a sentence in a language."""


@dataclass(frozen=True)
class Inference:
    """A premise, a hypothesis and their relation (one of `LABELS`)."""

    premise: Clause
    hypothesis: Clause
    label: str

    def said(self, language: Language) -> tuple[str, str]:
        """The texts of premise and hypothesis in a language."""
        return text(sentence(self.premise, language)), text(sentence(self.hypothesis, language))


def inference(rng: random.Random, label: str, evaluation: bool) -> Inference:
    """A random pair with this label. Its premise always has a place, and an adjective for its object."""
    about = world.any_topic(rng)

    def premise() -> Clause:
        clause = world.deed(rng, about)
        noun = _object(clause).noun
        thing = Phrase(noun, adjective=_object(clause).adjective or world.adjective(rng, noun))
        return replace(clause, object=thing, place=clause.place or ("in", Phrase(rng.choice(about.places))))

    fact = world.drawn(premise, evaluation)
    make = {"entailment": _entailed, "contradiction": _contradicted, "neutral": _left_open}[label]
    return Inference(fact, make(rng, fact), label)


def _object(clause: Clause) -> Phrase:
    assert clause.object is not None
    return clause.object


def _core(clause: Clause) -> Clause:
    """The clause without adjective of the object, place and time."""
    return replace(clause, object=replace(_object(clause), adjective=None), place=None, time=None, fronted="")


def _less(rng: random.Random, premise: Clause) -> Clause:
    """The premise without some of its details, which it therefore entails."""
    core = _core(premise)
    return rng.choice((core, replace(core, object=premise.object), replace(core, place=premise.place)))


def _property(premise: Clause, adjective: str) -> Clause:
    return Clause(Phrase(_object(premise).noun), "be", predicate=adjective)


def _entailed(rng: random.Random, premise: Clause) -> Clause:
    thing = _object(premise)
    assert thing.adjective is not None
    ways = [
        _less(rng, premise),
        _property(premise, thing.adjective),
        Clause(premise.subject, "be", place=premise.place),
    ]
    if kind := KIND_OF.get(thing.noun):
        ways.append(replace(_core(premise), object=Phrase(kind, det="a")))
    return rng.choice(ways)


def _contradicted(rng: random.Random, premise: Clause) -> Clause:
    adjective = _object(premise).adjective
    assert adjective is not None
    opposite = OPPOSITES.get(adjective) or rng.choice([colour for colour in COLOURS if colour != adjective])
    ways = [replace(_less(rng, premise), negative=True), _property(premise, opposite)]
    if premise.verb in OPPOSITES:
        ways.append(replace(_less(rng, premise), verb=OPPOSITES[premise.verb]))
    return rng.choice(ways)


def _left_open(rng: random.Random, premise: Clause) -> Clause:
    """A hypothesis that may be true or false: another deed of the same subject, or a time not given in the premise."""
    if rng.random() < 0.35:
        return replace(_core(premise), time=rng.choice([time for time in (*TIMES, *HOURS) if time != premise.time]))
    while True:
        other = world.deed(rng, world.any_topic(rng))
        if _object(other).noun not in (_object(premise).noun, premise.subject.noun):
            return replace(other, subject=premise.subject)


@dataclass(frozen=True)
class Question:
    """A context of facts and a question about one of them. The answer is one word of the context.

    Attributes:
        facts: the context.
        asked: index of the fact that contains the answer.
        question: that fact as a question.
        role: constituent of the answer.
        tag: part of speech of the answer.
    """

    facts: tuple[Clause, ...]
    asked: int
    question: Clause
    role: str
    tag: str

    def said(self, language: Language) -> dict[str, Any]:
        """The example in a language: `context`, `question`, and the answer's `text` and `start` (code point offset)."""
        told = [sentence(fact, language) for fact in self.facts]
        words = told[self.asked]
        place = next(i for i, word in enumerate(words) if (word.role, word.tag) == (self.role, self.tag))
        before = [text(words) for words in told[: self.asked]] + [text(words[:place])] * (place > 0)
        return {
            "context": " ".join(map(text, told)),
            "question": text(sentence(self.question, language)),
            "text": words[place].text,
            "start": len(" ".join([*before, ""])),
        }


def question(rng: random.Random, evaluation: bool, count: int = 2) -> Question:
    """A random question about one of `count` facts. The facts share no subject, verb or object."""
    facts: list[Clause] = []
    while len(facts) < count:
        fact = world.drawn(lambda: _fact(rng), evaluation)
        if not _content(fact) & {word for other in facts for word in _content(other)}:
            facts.append(fact)
    asked = rng.randrange(count)
    asking, tag = rng.choice(_questions(facts[asked]))
    return Question(tuple(facts), asked, asking, asking.asks, tag)


def _content(fact: Clause) -> set[str]:
    return {fact.subject.noun, fact.verb, _object(fact).noun}


def _fact(rng: random.Random) -> Clause:
    """A random fact for questions: the subject is a name or a person, the object may have a colour, and there may be a
    place and an hour."""
    about = world.any_topic(rng)
    subject = world.name(rng) if rng.random() < 0.6 else Phrase(rng.choice(about.people))
    while True:
        clause = world.deed(rng, about)
        thing = Phrase(_object(clause).noun, adjective=rng.choice(COLOURS) if rng.random() < 0.5 else None)
        if thing.noun != subject.noun:
            hour = rng.choice(HOURS) if rng.random() < 0.4 else None
            return replace(
                clause, subject=subject, object=thing, time=hour, fronted=clause.fronted if clause.place else ""
            )


def _questions(fact: Clause) -> list[tuple[Clause, str]]:
    """All questions that a fact answers, each with the part of speech of the answer."""
    bare = replace(fact, place=None, time=None, fronted="")
    ways = [
        (replace(bare, subject=WHO, asks="S"), fact.subject.tag),
        (replace(bare, object=WHAT, asks="O"), "NOUN"),
    ]
    if fact.place:
        ways.append((replace(bare, asks="P"), "NOUN"))
    if fact.time:
        ways.append((replace(bare, asks="A"), "NUM"))
    if _object(fact).adjective:
        ways.append((Clause(Phrase(_object(fact).noun), "be", predicate=WHAT_COLOUR, asks="O"), "ADJ"))
    return ways


def tagged(rng: random.Random, evaluation: bool) -> Said:
    """A random sentence for part-of-speech tagging: one or two statements, a noun phrase, or a question."""
    while True:
        said = _taggable(rng, evaluation)
        if world.held_out(text(said(ENGLISH))) == evaluation:
            return said


def _taggable(rng: random.Random, evaluation: bool) -> Said:
    about = world.any_topic(rng)
    first = world.statement(rng, about)
    kind = rng.random()
    if kind < 0.45:
        return partial(sentence, first)
    if kind < 0.6:
        return partial(fragment, world.noun_phrase(rng, world.anything(rng, about)))
    if kind < 0.7:
        return partial(sentence, question(rng, evaluation, count=1).question)
    second = replace(world.statement(rng, about), subject=world.pronoun(first.subject))
    return partial(joined, first, rng.choice(LINKS), second)


def translatable(rng: random.Random) -> Clause:
    """A random evaluation sentence for retrieval."""
    about = world.any_topic(rng)
    return world.drawn(lambda: world.statement(rng, about), True)


def continuation(rng: random.Random, ind: int, evaluation: bool) -> dict[str, Any]:
    """A row in the format of HellaSwag, in English. The right one of four endings is on the topic of the context."""
    about, *others = rng.sample(list(TOPICS), 4)
    subject = world.name(rng)
    first = world.drawn(lambda: replace(world.deed(rng, TOPICS[about]), subject=subject), evaluation)
    he = world.pronoun(subject)
    label = rng.randrange(4)
    others.insert(label, about)
    ctx = text(sentence(first, ENGLISH))
    return {
        "ind": ind,
        "activity_label": about.capitalize(),
        "ctx_a": ctx,
        "ctx_b": he.noun,
        "ctx": f"{ctx} {he.noun}",
        "split": "val" if evaluation else "train",
        "split_type": "indomain",
        "label": label,
        "endings": [_ending(rng, topic, he) for topic in others],
        "source_id": f"generated~{ind}",
    }


def _ending(rng: random.Random, topic: str, subject: Phrase) -> str:
    deed = replace(world.deed(rng, TOPICS[topic]), subject=subject, place=None, fronted="")
    return text([*say(deed, ENGLISH)[1:], FULL_STOP])
