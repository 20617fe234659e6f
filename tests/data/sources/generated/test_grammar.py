"""Grammar of the generated corpus."""

from stilts.data.sources.generated.grammar import Clause, Phrase, sentence, text
from stilts.data.sources.generated.languages import ENGLISH, invent


def test_a_sentence_in_each_language() -> None:
    clause = Clause(Phrase("Anna", "PROPN"), "feed", Phrase("cow", adjective="old"), time="4")
    qaa, qab, qac = invent(3, seed=0)
    assert text(sentence(clause, ENGLISH)) == "Anna feeds the old cow at 4."
    tags = {language.code: [word.tag for word in sentence(clause, language)] for language in (qaa, qab, qac)}
    assert tags["qaa"] == ["NUM", "ADP", "PROPN", "ADJ", "NOUN", "VERB", "PUNCT"]
    assert tags["qab"] == ["VERB", "PROPN", "NOUN", "ADJ", "ADP", "NUM", "PUNCT"]
    assert tags["qac"] == ["PROPN", "VERB", "DET", "NOUN", "ADJ", "ADP", "NUM", "PUNCT"]
    assert text(sentence(clause, qac)).startswith("Анна ")


def test_english_inflects() -> None:
    anna, cow = Phrase("Anna", "PROPN"), Phrase("apple", det="a")
    said = {
        "Anna does not see an apple.": Clause(anna, "see", cow, negative=True),
        "where does Anna catch an apple?": Clause(anna, "catch", cow, asks="P"),
        "Anna catches an apple.": Clause(anna, "catch", cow),
        "Anna can not see an apple.": Clause(anna, "see", cow, can=True, negative=True),
        "at 3 Anna is in the school.": Clause(anna, "be", place=("in", Phrase("school")), time="3", fronted="A"),
    }
    assert {text(sentence(clause, ENGLISH)) for clause in said.values()} == set(said)
