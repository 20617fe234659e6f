"""Raw text for masked language modelling, from which a small model can learn aligned representations.

A model of a few layers does not align languages from monolingual text in a minute of training. As on the web, some of
the text is therefore bilingual (a word, phrase or sentence with its translation), some mixes two languages, and names,
hours, loan words and punctuation are common to all languages. The proportions below were chosen by experiments.
"""

import random
from dataclasses import replace

from stilts.data.sources.generated import tasks, world
from stilts.data.sources.generated.grammar import Clause, joined, say, sentence, text, third_person
from stilts.data.sources.generated.languages import ENGLISH, Language
from stilts.data.sources.generated.lexicon import LINKS, WORDS

_INFLECTED = {(lemma, tag): third_person(lemma) if tag == "VERB" or lemma == "be" else lemma for lemma, tag in WORDS}


def line(rng: random.Random, language: Language) -> str:
    """One line of a language's file: English only, or an invented language next to and mixed with English."""
    if language.english:
        return rng.choice((story, asked))(rng, language)
    return rng.choices((story, asked, retold, glossed), (1, 2, 3, 3))[0](rng, language)


def voice(rng: random.Random, language: Language) -> Language:
    """Draw the language of the next sentence: the language itself, English, or a mixture of both.

    A mixture has the grammar of one of the two languages, and each word is randomly taken from either.
    """
    if language.english:
        return language
    kind = rng.random()
    if kind < 0.6:
        return language if kind < 0.4 else ENGLISH
    words = {key: rng.choice((form, _INFLECTED.get(key, form))) for key, form in language.words.items()}
    return replace(rng.choice((ENGLISH, language)), code="mixed", words=words)


def story(rng: random.Random, language: Language) -> str:
    """Two statements on one topic. In half of the cases the second has a pronoun for the subject of the first."""
    about = world.any_topic(rng)
    first, second = (world.drawn(lambda: world.statement(rng, about), False) for _ in range(2))
    if rng.random() < 0.5:
        second = replace(second, subject=world.pronoun(first.subject))
    if rng.random() < 0.4:
        return text(joined(first, rng.choice(LINKS), second, voice(rng, language)))
    return _said(rng, language, first, second)


def asked(rng: random.Random, language: Language) -> str:
    """One or two facts, a question about one of them, and its answer."""
    question = tasks.question(rng, False, count=rng.choice((1, 2)))
    speaker = voice(rng, language)
    facts = _said(rng, language, *question.facts)
    return f"{facts} {text(sentence(question.question, speaker))} {question.said(speaker)['text']}."


def retold(rng: random.Random, language: Language) -> str:
    """A statement or a question, stated twice (each time in a language drawn by `voice`)."""
    about = world.any_topic(rng)
    clause = world.drawn(lambda: world.statement(rng, about), False)
    if rng.random() < 0.3:
        clause = tasks.question(rng, False, count=1).question
    return _said(rng, language, clause, clause)


def glossed(rng: random.Random, language: Language) -> str:
    """A word or a phrase and its translation, as in a word list.

    Every word of the lexicon occurs before a comma or a full stop here, because only then do Unigram trainers accept it
    as a piece.
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
