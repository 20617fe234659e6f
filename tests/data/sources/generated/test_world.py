"""Random statements of the generated corpus."""

import random

from stilts.data.sources.generated.grammar import Phrase, sentence, text
from stilts.data.sources.generated.languages import ENGLISH
from stilts.data.sources.generated.lexicon import FEELINGS, GENERAL_VERBS, TOPICS
from stilts.data.sources.generated.world import adjective, deed, drawn, held_out, pronoun, statement

FARM = TOPICS["farm"]


def test_one_sentence_in_six_is_held_out() -> None:
    shares = [held_out(f"sentence {i}.") for i in range(6000)]
    assert 900 < sum(shares) < 1100
    assert held_out("sentence 1.") == held_out("sentence 1.")


def test_a_clause_is_drawn_from_the_part_that_is_asked_for() -> None:
    rng = random.Random(0)
    for evaluation in (False, True):
        for _ in range(20):
            clause = drawn(lambda: statement(rng, FARM), evaluation)
            assert held_out(text(sentence(clause, ENGLISH))) is evaluation


def test_actions_and_places_belong_to_the_topic() -> None:
    rng = random.Random(0)
    for _ in range(300):
        clause = deed(rng, FARM)
        assert clause.object is not None
        assert clause.object.noun != clause.subject.noun
        if clause.verb not in GENERAL_VERBS:
            assert clause.object.noun in FARM.acts[clause.verb]
            assert clause.subject.noun not in FARM.animals
        if clause.place:
            assert clause.place[1].noun in FARM.places


def test_adjectives_fit_their_nouns() -> None:
    rng = random.Random(0)
    feelings = {word for pair in FEELINGS for word in pair}
    assert {adjective(rng, "cow") for _ in range(100)} == feelings
    assert not {adjective(rng, "barn") for _ in range(200)} & {"happy", "sad"}


def test_pronouns() -> None:
    names = {"Anna": "she", "Tom": "he"}
    assert {name: pronoun(Phrase(name, "PROPN")).noun for name in names} == names
    assert pronoun(Phrase("cow")).noun == "it"
