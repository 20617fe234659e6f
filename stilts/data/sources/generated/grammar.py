"""Grammar: generates sentences of any language from one representation of their meaning.

A `Clause` represents who does what, where and when; `say` generates its words. English inflects its verbs and forms
questions with `does`; the invented languages do neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stilts.data.sources.generated.languages import Language
from stilts.data.sources.generated.lexicon import HOURS

WHAT_COLOUR = "what colour"
"""A predicate that makes the clause a question about a colour."""


class Word(NamedTuple):
    """A word of a sentence.

    Attributes:
        text: its written form.
        tag: its universal part-of-speech tag.
        role: its constituent, a letter of `Language.order`; empty for punctuation and conjunctions.
    """

    text: str
    tag: str
    role: str = ""


FULL_STOP = Word(".", "PUNCT")


@dataclass(frozen=True)
class Phrase:
    """A noun phrase: `the red ball`, `Anna`, `she`, `what`.

    Attributes:
        noun: lemma of the noun, name or pronoun.
        tag: NOUN, PROPN or PRON.
        det: determiner, for nouns only.
        adjective: adjective, for nouns only.
    """

    noun: str
    tag: str = "NOUN"
    det: str = "the"
    adjective: str | None = None


WHO, WHAT = Phrase("who", "PRON"), Phrase("what", "PRON")


@dataclass(frozen=True)
class Clause:
    """A statement or question.

    Attributes:
        subject: the subject.
        verb: lemma of the verb. `be` takes a predicate or a place.
        object: the object.
        predicate: an adjective, or `WHAT_COLOUR`.
        place: a preposition and a noun phrase.
        time: an adverb or an hour.
        can: whether the clause has the auxiliary `can`.
        negative: whether the clause is negated.
        fronted: letter of the constituent that precedes the statement, `P` or `A`; empty if there is none.
        asks: letter of the constituent that a question asks for; empty for a statement.
    """

    subject: Phrase
    verb: str
    object: Phrase | None = None
    predicate: str | None = None
    place: tuple[str, Phrase] | None = None
    time: str | None = None
    can: bool = False
    negative: bool = False
    fronted: str = ""
    asks: str = ""


def say(clause: Clause, language: Language) -> list[Word]:
    """The words of a clause in a language, without final punctuation. The constituent that is asked for comes first."""
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
    return [*opening, *_in_order(language.order, parts)]


def sentence(clause: Clause, language: Language) -> list[Word]:
    """The words of a clause, with a full stop or question mark."""
    return [*say(clause, language), Word("?", "PUNCT") if clause.asks else FULL_STOP]


def joined(first: Clause, link: tuple[str, str], second: Clause, language: Language) -> list[Word]:
    """Two clauses as one sentence; `link` is a conjunction and its tag."""
    return [*say(first, language), _word(*link, language), *say(second, language), FULL_STOP]


def fragment(np: Phrase, language: Language) -> list[Word]:
    """The words of a noun phrase as a sentence of its own, as in a title or a list."""
    return [*phrase(np, language, "O"), FULL_STOP]


def text(words: Sequence[Word]) -> str:
    """Join words to text: with spaces between words and none before punctuation."""
    return "".join(w.text if w.tag == "PUNCT" else " " + w.text for w in words).strip()


def third_person(verb: str) -> str:
    """The third person singular of an English verb."""
    if verb in ("have", "be"):
        return {"have": "has", "be": "is"}[verb]
    if verb.endswith(("ss", "sh", "ch", "x")):
        return verb + "es"
    return verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in "aeou" else verb + "s"


def phrase(np: Phrase, language: Language, role: str) -> list[Word]:
    """The words of a noun phrase."""
    noun = _word(np.noun, np.tag, language, role)
    if np.tag != "NOUN":
        return [noun]
    adjective = [_word(np.adjective, "ADJ", language, role)] if np.adjective else []
    core = [*adjective, noun] if language.adjective_first else [noun, *adjective]
    if not language.articles and np.det in ("the", "a"):
        return core
    an = language.english and np.det == "a" and core[0].text[0] in "aeiou"
    return [_word("an" if an else np.det, "DET", language, role), *core]


def _word(lemma: str, tag: str, language: Language, role: str = "") -> Word:
    return Word(language.form(lemma, tag), tag, role)


def _in_order(order: str, parts: dict[str, list[Word]]) -> list[Word]:
    return [word for role in order for word in parts.get(role, [])]


def _object(clause: Clause, language: Language) -> list[Word]:
    if clause.predicate == WHAT_COLOUR:
        what = Word(language.form("what", "PRON"), "DET", "O")
        return [what, _word("colour", "NOUN", language, "O")]
    if clause.predicate:
        return [_word(clause.predicate, "ADJ", language, "O")]
    return phrase(clause.object, language, "O") if clause.object else []


def _place(clause: Clause, language: Language) -> list[Word]:
    if clause.asks == "P":
        return [_word("where", "ADV", language, "P")]
    if clause.place is None:
        return []
    adposition, noun = _word(clause.place[0], "ADP", language, "P"), phrase(clause.place[1], language, "P")
    return [adposition, *noun] if language.prepositions else [*noun, adposition]


def _time(clause: Clause, language: Language) -> list[Word]:
    if clause.asks == "A":
        return [_word("when", "ADV", language, "A")]
    if clause.time is None:
        return []
    if clause.time not in HOURS:
        return [_word(clause.time, "ADV", language, "A")]
    at, hour = _word("at", "ADP", language, "A"), _word(clause.time, "NUM", language, "A")
    return [at, hour] if language.prepositions else [hour, at]


def _verb(clause: Clause, language: Language) -> list[Word]:
    """The verb after its negation and auxiliary; in verb-final languages, these follow it in reverse order."""
    words = [_word("not", "PART", language, "V")] if clause.negative else []
    words += [_word("can", "AUX", language, "V")] if clause.can else []
    words.append(_word(clause.verb, "AUX" if clause.verb == "be" else "VERB", language, "V"))
    return words[::-1] if language.order.endswith("V") else words


def _english_order(clause: Clause, parts: dict[str, list[Word]]) -> list[Word]:
    finite, rest = _english_verb(clause)
    subject, tail = parts.pop("S", []), _in_order("OPA", parts)
    inverted = clause.asks not in ("", "S")
    return [*finite, *subject, *rest, *tail] if inverted else [*subject, *finite, *rest, *tail]


def _english_verb(clause: Clause) -> tuple[list[Word], list[Word]]:
    """The finite verb, and the words that follow it; in a question, the subject stands between the two."""
    denial = [Word("not", "PART", "V")] if clause.negative else []
    verb = Word(clause.verb, "AUX" if clause.verb == "be" else "VERB", "V")
    if clause.can:
        return [Word("can", "AUX", "V")], [*denial, verb]
    if clause.verb == "be":
        return [Word("is", "AUX", "V")], denial
    if clause.negative or clause.asks not in ("", "S"):
        return [Word("does", "AUX", "V")], [*denial, verb]
    return [], [Word(third_person(clause.verb), "VERB", "V")]
