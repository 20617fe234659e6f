"""Examples of the generated tasks."""

import random

from stilts.data.sources.generated.grammar import Clause, sentence, text
from stilts.data.sources.generated.languages import ENGLISH
from stilts.data.sources.generated.lexicon import TOPICS
from stilts.data.sources.generated.tasks import LABELS, continuation, inference, question, tagged
from stilts.data.sources.generated.world import held_out


def test_an_answer_is_unambiguous() -> None:
    rng = random.Random(0)
    for _ in range(200):
        asked = question(rng, evaluation=True)
        said = asked.said(ENGLISH)
        subjects = [text(sentence(Clause(fact.subject, "see"), ENGLISH)) for fact in asked.facts]
        assert len(set(subjects)) == 2
        assert said["question"].endswith("?")
        assert said["context"].count(".") == 2


def test_an_inference_has_the_label_that_is_asked_for() -> None:
    rng = random.Random(0)
    for label in LABELS:
        for _ in range(50):
            pair = inference(rng, label, evaluation=False)
            premise, hypothesis = pair.said(ENGLISH)
            assert pair.label == label
            assert not held_out(premise)
            assert premise != hypothesis
            assert pair.premise.place is not None
    entailed = [inference(rng, "entailment", False).hypothesis for _ in range(50)]
    assert not any(clause.negative for clause in entailed)


def test_tagged_sentences_are_of_their_part_and_have_a_tag_for_every_word() -> None:
    rng = random.Random(0)
    for evaluation in (False, True):
        for _ in range(30):
            words = tagged(rng, evaluation)(ENGLISH)
            assert held_out(text(words)) is evaluation
            assert all(word.text and word.tag for word in words)


def test_the_right_ending_of_a_continuation_is_on_the_topic() -> None:
    rng = random.Random(0)
    for number in range(40):
        row = continuation(rng, number, evaluation=False)
        topic = TOPICS[row["activity_label"].lower()]
        nouns = {*topic.people, *topic.animals, *topic.places, *topic.things}
        assert nouns & {word.strip(".") for word in row["endings"][row["label"]].split()}
        assert len(row["endings"]) == 4
