"""Raw text for masked language modelling, made so that a small model can line its languages up.

A model of a few layers does not align languages by itself in a minute. As on the web, some text says a thing twice (a
word, phrase or sentence and its translation), speakers mix two languages, and names, hours, loans and punctuation are
common to all. The shares below were chosen by training on them.
"""

import random
from dataclasses import replace

from stilts.data.sources.generated import tasks, world
from stilts.data.sources.generated.grammar import Clause, joined, say, sentence, text, third_person
from stilts.data.sources.generated.languages import ENGLISH, Language
from stilts.data.sources.generated.lexicon import LINKS, WORDS

_INFLECTED = {(lemma, tag): third_person(lemma) if tag == "VERB" or lemma == "be" else lemma for lemma, tag in WORDS}


def line(rng: random.Random, language: Language) -> str:
    """One line of a language's file: English alone, or an invented language beside and mixed with English."""
    if language.english:
        return rng.choice((story, asked))(rng, language)
    return rng.choices((story, asked, retold, glossed), (1, 2, 3, 3))[0](rng, language)


def voice(rng: random.Random, language: Language) -> Language:
    """Who says the next sentence: the language itself, English, or one's grammar with half of the words the other's."""
    if language.english:
        return language
    kind = rng.random()
    if kind < 0.6:
        return language if kind < 0.4 else ENGLISH
    words = {key: rng.choice((form, _INFLECTED.get(key, form))) for key, form in language.words.items()}
    return replace(rng.choice((ENGLISH, language)), code="mixed", words=words)


def story(rng: random.Random, language: Language) -> str:
    """Two statements on one topic, the second about the same subject at times."""
    about = world.any_topic(rng)
    first, second = (world.drawn(lambda: world.statement(rng, about), False) for _ in range(2))
    if rng.random() < 0.5:
        second = replace(second, subject=world.pronoun(first.subject))
    if rng.random() < 0.4:
        return text(joined(first, rng.choice(LINKS), second, voice(rng, language)))
    return _said(rng, language, first, second)


def asked(rng: random.Random, language: Language) -> str:
    """A fact or two, a question, its answer."""
    question = tasks.question(rng, False, count=rng.choice((1, 2)))
    speaker = voice(rng, language)
    facts = _said(rng, language, *question.facts)
    return f"{facts} {text(sentence(question.question, speaker))} {question.said(speaker)['text']}."


def retold(rng: random.Random, language: Language) -> str:
    """A statement or a question, said twice."""
    about = world.any_topic(rng)
    clause = world.drawn(lambda: world.statement(rng, about), False)
    if rng.random() < 0.3:
        clause = tasks.question(rng, False, count=1).question
    return _said(rng, language, clause, clause)


def glossed(rng: random.Random, language: Language) -> str:
    """A word or a phrase and its translation, as in a word list.

    Every word comes to stand before a comma or a full stop here; only then do Unigram trainers take it for a piece.
    """
    if rng.random() < 0.5:
        lemma, tag = rng.choice(WORDS)
        pair = [language.form(lemma, tag), rng.choice((lemma, _INFLECTED[lemma, tag]))]
    else:
        clause = world.deed(rng, world.any_topic(rng))
        role = rng.choice("VOP" if clause.place else "VO")
        pair = [text([word for word in say(clause, one) if word.role == role]) for one in (language, ENGLISH)]
    rng.shuffle(pair)
    return ", ".join(pair) + "."


def _said(rng: random.Random, language: Language, *clauses: Clause) -> str:
    return " ".join(text(sentence(clause, voice(rng, language))) for clause in clauses)
