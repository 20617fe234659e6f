"""The words of the generated corpus."""

from stilts.data.sources.generated.lexicon import KIND_OF, NAMES, OPPOSITES, SHE, TOPICS, WORDS


def test_opposites_are_mutual() -> None:
    assert OPPOSITES
    assert all(OPPOSITES[other] == word for word, other in OPPOSITES.items())
    assert all(word != other for word, other in OPPOSITES.items())


def test_every_word_of_a_topic_has_a_translation() -> None:
    for topic in TOPICS.values():
        nouns = {*topic.people, *topic.animals, *topic.places, *topic.things}
        assert {(noun, "NOUN") for noun in nouns} <= set(WORDS)
        assert {(verb, "VERB") for verb in topic.acts} <= set(WORDS)
    assert len(set(WORDS)) == len(WORDS)


def test_things_of_a_topic_are_no_living_beings() -> None:
    assert TOPICS["sea"].things == ("boat", "ship", "shell")
    assert TOPICS["farm"].things == ("corn", "apple")


def test_kinds_are_unambiguous_and_half_of_the_names_are_womens() -> None:
    assert KIND_OF["cow"] == "animal"
    assert KIND_OF["taxi"] == "vehicle"
    assert len(SHE) == len(NAMES) / 2
