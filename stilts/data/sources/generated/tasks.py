"""Examples of each task as meanings, said in any language afterwards: a test set is the same set in every language."""

import random
from dataclasses import dataclass, replace
from typing import Any

from stilts.data.sources.generated import world
from stilts.data.sources.generated.grammar import Clause, Phrase, Word, joined, phrase, say, sentence, text
from stilts.data.sources.generated.languages import ENGLISH, Language
from stilts.data.sources.generated.lexicon import COLOURS, HOURS, KIND_OF, LINKS, OPPOSITES, TIMES, TOPICS

LABELS = ("contradiction", "entailment", "neutral")


@dataclass(frozen=True)
class Inference:
    """A premise, a hypothesis and their relation."""

    premise: Clause
    hypothesis: Clause
    label: str

    def said(self, language: Language) -> tuple[str, str]:
        """Premise and hypothesis in a language."""
        return text(sentence(self.premise, language)), text(sentence(self.hypothesis, language))


def inference(rng: random.Random, label: str, evaluation: bool) -> Inference:
    """A pair of this label, its premise of the training or the evaluation half."""
    about = world.topic(rng)
    premise = world.deed(rng, about, evaluation)
    assert premise.object is not None
    noun = premise.object.noun
    premise = replace(
        premise,
        object=Phrase(noun, adjective=premise.object.adjective or world.adjective(rng, noun)),
        place=premise.place or ("in", Phrase(rng.choice(about.places))),
    )
    make = {"entailment": _entailed, "contradiction": _contradicted, "neutral": _open}[label]
    return Inference(premise, make(rng, premise), label)


def _reduced(rng: random.Random, premise: Clause) -> Clause:
    """The premise with less said: true if the premise is."""
    assert premise.object is not None
    bare = replace(
        premise,
        time=None,
        fronted="P" if premise.fronted == "P" else "",
        object=replace(premise.object, adjective=None),
    )
    return rng.choice(
        (bare, replace(bare, place=None, fronted=""), replace(premise, place=None, time=None, fronted=""))
    )


def _property(premise: Clause, adjective: str) -> Clause:
    assert premise.object is not None
    return Clause(Phrase(premise.object.noun), "be", predicate=adjective)


def _entailed(rng: random.Random, premise: Clause) -> Clause:
    assert premise.object is not None and premise.object.adjective is not None
    ways = [
        _reduced(rng, premise),
        _property(premise, premise.object.adjective),
        Clause(premise.subject, "be", place=premise.place),
    ]
    if kind := KIND_OF.get(premise.object.noun):
        ways.append(replace(premise, object=Phrase(kind, det="a"), place=None, time=None, fronted=""))
    return rng.choice(ways)


def _contradicted(rng: random.Random, premise: Clause) -> Clause:
    assert premise.object is not None and premise.object.adjective is not None
    adjective = premise.object.adjective
    opposite = OPPOSITES.get(adjective) or rng.choice([colour for colour in COLOURS if colour != adjective])
    ways = [replace(_reduced(rng, premise), negative=True), _property(premise, opposite)]
    if premise.verb in OPPOSITES:
        ways.append(replace(_reduced(rng, premise), verb=OPPOSITES[premise.verb]))
    return rng.choice(ways)


def _open(rng: random.Random, premise: Clause) -> Clause:
    """Something that the premise leaves open."""
    reduced = replace(_reduced(rng, premise), place=None, fronted="")
    other = world.deed(rng, world.topic(rng), evaluation=False)
    while other.object is None or other.object.noun == reduced.object.noun:
        other = world.deed(rng, world.topic(rng), evaluation=False)
    ways = (
        replace(other, subject=premise.subject, negative=False),
        replace(reduced, time=rng.choice([time for time in (*TIMES, *HOURS) if time != premise.time])),
    )
    return rng.choice((*ways, ways[0]))


@dataclass(frozen=True)
class Question:
    """A context of facts, a question about one of them, and which constituent of that fact answers it."""

    facts: tuple[Clause, ...]
    asked: int
    question: Clause
    tag: str | None
    """Part of speech of the answering word within the constituent; None: the whole constituent."""

    def said(self, language: Language) -> dict[str, Any]:
        """`context`, `question`, `text` and `start` (code point offset) of the answer in a language."""
        context, start = "", 0
        for index, fact in enumerate(self.facts):
            words = sentence(fact, language)
            context += " " if context else ""
            if index == self.asked:
                first, answer = self._answer(words)
                start = len(context) + (len(text(words[:first])) + 1 if first else 0)
            context += text(words)
        return {"context": context, "question": text(sentence(self.question, language)), "text": answer, "start": start}

    def _answer(self, words: list[Word]) -> tuple[int, str]:
        role = "O" if self.tag else self.question.asks
        chosen = [i for i, w in enumerate(words) if w.role == role and self.tag in (None, w.tag)]
        return chosen[0], text(words[chosen[0] : chosen[-1] + 1])


def question(rng: random.Random, evaluation: bool, count: int = 2) -> Question:
    """`count` facts about different people and things, and a question about one of them."""
    facts: list[Clause] = []
    while len(facts) < count:
        fact = world.deed(rng, world.topic(rng), evaluation)
        taken = {f.subject.noun for f in facts} | {f.object.noun for f in facts if f.object} | {f.verb for f in facts}
        assert fact.object is not None
        if not taken & {fact.subject.noun, fact.object.noun, fact.verb} and fact.subject.noun != fact.object.noun:
            facts.append(fact)
    asked = rng.randrange(count)
    fact = facts[asked]
    assert fact.object is not None
    core = replace(fact, place=None, time=None, fronted="")
    ways: dict[str, Clause] = {
        "S": replace(core, subject=Phrase("who", "PRON", ""), asks="S"),
        "O": replace(core, object=Phrase("what", "PRON", ""), asks="O"),
        "P": replace(core, asks="P"),
        "A": replace(core, asks="A"),
    }
    asks = rng.choice("SSO" + "PP" * bool(fact.place) + "AAA" * (fact.time in HOURS))
    if fact.object.adjective in COLOURS and fact.object.det == "the" and rng.random() < 0.5:
        colour = Clause(Phrase(fact.object.noun), "be", predicate="what colour", asks="O")
        return Question(tuple(facts), asked, colour, "ADJ")
    return Question(tuple(facts), asked, ways[asks], None)


def tagged(rng: random.Random, evaluation: bool, language: Language) -> list[Word]:
    """A sentence with its part-of-speech tags."""
    about = world.topic(rng)
    kind = rng.random()
    first = world.statement(rng, about, evaluation)
    if kind < 0.45:
        return sentence(first, language)
    if kind < 0.6:
        return fragment(rng, about, language)
    if kind < 0.7:
        return sentence(question(rng, evaluation).question, language)
    second = world.statement(rng, about, evaluation)
    return joined(first, *rng.choice(LINKS), replace(second, subject=world.pronoun(first.subject)), language)


def fragment(rng, about, language):
    noun = rng.choice((*about.things, *about.animals, *about.people))
    return [*phrase(world.thing(rng, noun), language, "O"), Word(".", "PUNCT")]


def continuation(rng: random.Random, ind: int, evaluation: bool) -> dict[str, Any]:
    """A HellaSwag row: of four endings, the one that stays on the topic is right. English only."""
    names = rng.sample(list(TOPICS), 4)
    right = rng.randrange(4)
    order = [*names[1 : right + 1], names[0], *names[right + 1 :]]
    about = TOPICS[names[0]]
    first = replace(world.deed(rng, about, evaluation), subject=world.name(rng))
    he = world.pronoun(first.subject)
    endings = []
    for topic in order:
        ending = replace(world.deed(rng, TOPICS[topic], evaluation), subject=he, place=None, fronted="")
        endings.append(text([*say(ending, ENGLISH)[1:], Word(".", "PUNCT")]))
    ctx_a, ctx_b = text(sentence(first, ENGLISH)), he.noun
    return {
        "ind": ind,
        "activity_label": names[0].capitalize(),
        "ctx_a": ctx_a,
        "ctx_b": ctx_b,
        "ctx": f"{ctx_a} {ctx_b}",
        "split": "val" if evaluation else "train",
        "split_type": "indomain",
        "label": right,
        "endings": endings,
        "source_id": f"generated~{ind}",
    }
