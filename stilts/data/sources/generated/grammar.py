"""Grammar: one meaning, said in any language.

A `Clause` says who does what, where and when; `say` puts it in words. English inflects its verbs and nouns and asks with
`does`; the invented languages do neither and leave question words in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stilts.data.sources.generated.languages import Language
from stilts.data.sources.generated.lexicon import HOURS, NAMES


class Word(NamedTuple):
    """A word as it is written, its universal part-of-speech tag, and what it does in the clause (a letter of
    `Language.order`, small for the word that a noun phrase's adjective is; empty for punctuation and conjunctions)."""

    text: str
    tag: str
    role: str = ""


@dataclass(frozen=True)
class Phrase:
    """A noun phrase: `the red ball`, `3 cows`, `Anna`, `she`, `what`.

    Attributes:
        noun: noun, name or pronoun.
        tag: NOUN, PROPN or PRON.
        det: determiner or numeral of a noun.
        adjective: of a noun.
    """

    noun: str
    tag: str = "NOUN"
    det: str = "the"
    adjective: str | None = None


@dataclass(frozen=True)
class Clause:
    """A statement or question.

    Attributes:
        subject: who.
        verb: what they do; `be` with an adjective as `predicate`, with an `object` phrase, or with a place.
        object: to what.
        predicate: adjective or question word of `be`.
        place: preposition and noun phrase; the question `where` has no preposition.
        time: adverb.
        modal: `can` or `must`.
        negative: denied.
        fronted: the letter of the constituent that opens the statement, `P` or `A`, if one does.
        asks: the letter of the constituent in question.
    """

    subject: Phrase
    verb: str
    object: Phrase | None = None
    predicate: str | None = None
    place: tuple[str, Phrase] | None = None
    time: str | None = None
    modal: str | None = None
    fronted: str = ""
    negative: bool = False
    asks: str = ""


_ASKS_WITH_DOES = ("O", "P", "A")


def say(clause: Clause, language: Language) -> list[Word]:
    """The words of a clause in a language, without final punctuation."""
    parts = {
        "S": phrase(clause.subject, language, "S"),
        "O": _object(clause, language),
        "P": _place(clause, language),
        "A": _time(clause, language),
    }
    opening = parts.pop(clause.asks or clause.fronted, [])
    if language.english:
        return [*opening, *_english_order(clause, parts)]
    parts["V"] = _verb(clause, language)
    return [*opening, *(word for role in language.order for word in parts.get(role, []))]


def sentence(clause: Clause, language: Language) -> list[Word]:
    """A clause with its full stop or question mark."""
    return [*say(clause, language), Word("?" if clause.asks else ".", "PUNCT")]


def joined(first: Clause, conjunction: str, tag: str, second: Clause, language: Language) -> list[Word]:
    """Two clauses as one sentence."""
    link = _word(conjunction, tag, language)
    return [*say(first, language), link, *say(second, language), Word(".", "PUNCT")]


def text(words: Sequence[Word]) -> str:
    """Words as running text: spaces between words, none before punctuation."""
    return "".join(w.text if w.tag == "PUNCT" else " " + w.text for w in words).strip()


def _word(lemma: str, tag: str, language: Language, role: str = "") -> Word:
    return Word(language.form(lemma, tag), tag, role)


def phrase(np: Phrase, language: Language, role: str) -> list[Word]:
    if np.tag != "NOUN":
        return [_word(np.noun, np.tag, language, role)]
    noun = _word(np.noun, "NOUN", language, role)
    adjective = [_word(np.adjective, "ADJ", language, role)] if np.adjective else []
    core = [*adjective, noun] if language.adjective_first else [noun, *adjective]
    if language.article == "none" and np.det in ("the", "a"):
        return core
    det = np.det
    if language.english and det == "a" and core[0].text[0] in "aeiou":
        det = "an"
    determiner = _word(det, "DET", language, role)
    return [*core, determiner] if language.article == "after" else [determiner, *core]


def _object(clause: Clause, language: Language) -> list[Word]:
    if clause.predicate == "what colour":
        return [_word("what", "DET", language, "O"), _word("colour", "NOUN", language, "O")]
    if clause.predicate:
        return [_word(clause.predicate, "ADJ", language, "O")]
    return phrase(clause.object, language, "O") if clause.object else []


def _place(clause: Clause, language: Language) -> list[Word]:
    if clause.asks == "P":
        return [_word("where", "ADV", language, "P")]
    if clause.place is None:
        return []
    adposition = _word(clause.place[0], "ADP", language, "P")
    noun = phrase(clause.place[1], language, "P")
    return [adposition, *noun] if language.prepositions else [*noun, adposition]


def _time(clause: Clause, language: Language) -> list[Word]:
    if clause.asks == "A":
        return [_word("when", "ADV", language, "A")]
    if clause.time in HOURS:
        at, hour = _word("at", "ADP", language, "A"), Word(clause.time, "NUM", "A")
        return [at, hour] if language.prepositions else [hour, at]
    return [_word(clause.time, "ADV", language, "A")] if clause.time else []


def _verb(clause: Clause, language: Language) -> list[Word]:
    """Denial and modal before the verb; after it, in reverse, where the verb comes last."""
    words = [_word("not", "PART", language, "V")] if clause.negative else []
    words += [_word(clause.modal, "AUX", language, "V")] if clause.modal else []
    words.append(_word(clause.verb, "AUX" if clause.verb == "be" else "VERB", language, "V"))
    return words[::-1] if language.order.endswith("V") else words


def _english_order(clause: Clause, parts: dict[str, list[Word]]) -> list[Word]:
    finite, rest = _english_verb(clause)
    subject = parts.pop("S", [])
    tail = [word for role in "OPA" for word in parts.get(role, [])]
    return [*finite, *subject, *rest, *tail] if clause.asks in _ASKS_WITH_DOES else [*subject, *finite, *rest, *tail]


def _english_verb(clause: Clause) -> tuple[list[Word], list[Word]]:
    """The finite auxiliary, and what follows it (or the subject, in a question)."""
    denial = [Word("not", "PART", "V")] if clause.negative else []
    if clause.modal:
        return [Word(clause.modal, "AUX", "V")], [
            *denial,
            Word(clause.verb, "AUX" if clause.verb == "be" else "VERB", "V"),
        ]
    if clause.verb == "be":
        return [Word("is", "AUX", "V")], denial
    if clause.negative or clause.asks in _ASKS_WITH_DOES:
        return [Word("does", "AUX", "V")], [*denial, Word(clause.verb, "VERB", "V")]
    return [], [Word(third_person(clause.verb), "VERB", "V")]


def third_person(verb: str) -> str:
    """Third person singular of an English verb."""
    if verb == "have":
        return "has"
    if verb.endswith(("ss", "sh", "ch", "x")):
        return verb + "es"
    return verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in "aeou" else verb + "s"


def name(value: str) -> Phrase:
    """A name as a noun phrase."""
    assert value in NAMES
    return Phrase(value, "PROPN", "")
