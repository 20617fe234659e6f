"""Every kind of noise on every script: what changes, what never does, and how much."""

import statistics
import unicodedata
from collections import Counter
from random import Random
from typing import get_args

import pytest

from stilts.data.noise.case import lower
from stilts.data.noise.edits import Edit, Edited
from stilts.data.noise.keyboards import neighbours
from stilts.data.noise.kinds import KINDS, kind
from stilts.data.noise.places import Places, draw
from stilts.data.noise.units import Units
from stilts.experiment.experiment import NoiseDecl
from tests.data.noise.sentences import SENTENCES, UNTOUCHED

GRID = [(kind, language) for kind in KINDS for language in SENTENCES]
DRAWS = range(20)


def noisy(kind: str, text: str, language: str, rate: float = 0.3, seed: int = 0) -> Edited:
    units = Units.of([text])
    return draw(units, KINDS[kind](units, language), rate, Random(seed))


def test_an_experiment_may_name_every_kind() -> None:
    declared = get_args(get_args(NoiseDecl.model_fields["kinds"].annotation)[0])
    assert sorted(declared) == sorted(KINDS)


def test_a_kind_is_registered_by_its_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stilts.data.noise.kinds.KINDS", registered := dict(KINDS))

    @kind
    def repeat(units: Units, language: str) -> Places:
        return Places(units.letters, lambda first, pick: Edit(first, (units.clusters[first] * 2,)))

    assert registered["repeat"] is repeat
    units = Units.of(["ab"])
    assert draw(units, repeat(units, "en"), 1.0, Random(0)).text == "aabb"
    with pytest.raises(ValueError, match="two kinds of noise are called 'repeat'"):
        kind(repeat)


@pytest.mark.parametrize(("kind", "language"), GRID)
def test_rate_zero_changes_nothing(kind: str, language: str) -> None:
    assert all(noisy(kind, SENTENCES[language], language, 0.0, seed).text == SENTENCES[language] for seed in DRAWS)


@pytest.mark.parametrize(("kind", "language"), GRID)
def test_what_it_can_change_it_changes(kind: str, language: str) -> None:
    changed = [noisy(kind, SENTENCES[language], language, 0.5, seed).changed for seed in DRAWS]
    assert (sum(changed) == 0) == (language in UNTOUCHED.get(kind, ()))


@pytest.mark.parametrize(("kind", "language"), GRID)
def test_white_space_figures_and_marks_stay_where_they_are(kind: str, language: str) -> None:
    text = f"{SENTENCES[language]} 1990 3.5"
    for seed in DRAWS:
        found = noisy(kind, text, language, 0.6, seed)
        assert found.text.count(" ") == text.count(" ")
        assert not any(output.isspace() for output in found.outputs if output != " ")
        assert all(not unicodedata.category(output[0]).startswith("M") for output in found.outputs if output)
        if kind != "ocr":
            assert found.text.endswith(" 1990 3.5")


@pytest.mark.parametrize(("kind", "language"), GRID)
def test_a_higher_rate_adds_to_a_lower_one(kind: str, language: str) -> None:
    for seed in DRAWS:
        low, high = (noisy(kind, SENTENCES[language], language, rate, seed) for rate in (0.2, 0.5))
        assert set(low.edits) <= set(high.edits)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rate_is_the_expected_share(kind: str) -> None:
    text = "Modern farmers in Berlin never allow, they say, eleven children. " * 5
    units = Units.of([text])
    whole = KINDS[kind](units, "en").whole or len(KINDS[kind](units, "en").units)
    counts = [len(noisy(kind, text, "en", 0.11, seed).edits) for seed in range(300)]
    assert statistics.fmean(counts) == pytest.approx(0.11 * whole, rel=0.02)
    assert max(counts) - min(counts) <= 1


def test_a_swap_keeps_the_letters_and_moves_them_within_their_word() -> None:
    for language, text in SENTENCES.items():
        for seed in DRAWS:
            found = noisy("swap", text, language, 0.5, seed)
            assert Counter(found.outputs) == Counter(found.units.clusters)
            for edit in found.edits:
                assert len({found.units.words[unit] for unit in edit.units}) == 1


def test_a_swap_at_a_rate_moves_that_share_of_letters() -> None:
    text = "abcdefghij " * 100
    assert noisy("swap", text, "en", 0.2).changed == pytest.approx(200, abs=2)


def test_a_drop_leaves_every_word_its_first_letter() -> None:
    for language, text in SENTENCES.items():
        found = noisy("drop", text, language, 1.0)
        assert len(found.text.split()) == len(text.split())
        assert "".join(found.outputs) != text
    assert noisy("drop", "one two, three", "en", 1.0).text == "o t, t"


def test_an_insertion_comes_from_the_text_in_lower_case() -> None:
    for language, text in SENTENCES.items():
        found = noisy("insert", text, language, 1.0, seed=3)
        for old, new in zip(found.units.clusters, found.outputs, strict=True):
            assert new.startswith(old)
            assert new[len(old) :].casefold() in text.casefold().replace("i̇", "i")


def test_a_slip_lands_on_a_neighbouring_key() -> None:
    for language, text in SENTENCES.items():
        found = noisy("keyboard", text, language, 1.0)
        for old, new in zip(found.units.clusters, found.outputs, strict=True):
            if new != old and not "가" <= old <= "힣":
                assert lower(new[0], language) in neighbours(language)[lower(old[0], language)]
                assert new[1:] == old[1:]


@pytest.mark.parametrize(
    ("language", "key", "beside"),
    [
        ("en", "g", "fhtyvb"),
        ("en", "q", "wa"),
        ("de", "z", "tugh"),
        ("fr", "a", "zqé"),
        ("tr", "i", "şğü"),
        ("ru", "а", "впукми"),
        ("el", "α", "σςζ"),
        ("ar", "ب", "يلقفؤر"),
        ("he", "ש", "דז"),
        ("hi", "प", "रगब"),
        ("ja", "か", "きくけこ"),
    ],
)
def test_neighbours(language: str, key: str, beside: str) -> None:
    found = neighbours(language)[key]
    assert set(beside) & set(found), (key, found)
    assert key not in found


@pytest.mark.parametrize("language", SENTENCES)
def test_neighbourhood_is_mutual_and_of_letters(language: str) -> None:
    beside = neighbours(language)
    for key, others in beside.items():
        for other in others:
            assert unicodedata.category(other).startswith("L")
            assert key in beside[other], (key, other)


def test_a_korean_slip_changes_one_letter_of_a_syllable() -> None:
    for seed in DRAWS:
        found = noisy("keyboard", SENTENCES["ko"], "ko", 1.0, seed)
        for old, new in zip(found.units.clusters, found.outputs, strict=True):
            if "가" <= old <= "힣":
                letters = [unicodedata.normalize("NFD", syllable) for syllable in (old, new)]
                assert "가" <= new <= "힣"
                assert sum(a != b for a, b in zip(*letters, strict=True)) == 1


def test_casing_changes_case_alone() -> None:
    for language, text in SENTENCES.items():
        for seed in DRAWS:
            found = noisy("casing", text, language, 1.0, seed).text
            plain = [t.replace("İ", "i").replace("I", "ı") if language == "tr" else t for t in (text, found)]
            assert plain[0].casefold() == plain[1].casefold()


@pytest.mark.parametrize(
    ("language", "word", "forms"),
    [
        ("en", "word", {"WORD", "Word"}),
        ("en", "Word", {"WORD", "word"}),
        ("en", "NATO", {"nato", "nATO"}),
        ("en", "a", {"A"}),
        ("tr", "ılık", {"ILIK", "Ilık"}),
        ("tr", "İzmir", {"İZMİR", "izmir"}),
        ("el", "ΟΔΟΣ", {"οδος", "οΔΟΣ"}),
        ("de", "größe", {"GRÖSSE", "Größe"}),
        ("ka", "მე", {"მე"}),
    ],
)
def test_cased_forms(language: str, word: str, forms: set[str]) -> None:
    assert {noisy("casing", word, language, 1.0, seed).text for seed in range(40)} == forms


def test_marks_are_doubled_replaced_or_left_out() -> None:
    found = {noisy("punctuation", "Yes, no", "en", 1.0, seed).text for seed in range(200)}
    assert found == {"Yes,, no", "Yes no", *(f"Yes{mark} no" for mark in ".;:!?")}
    assert {noisy("punctuation", "对，不", "zh", 1.0, seed).text for seed in range(9)} <= {
        "对不", *(f"对{marks}不" for marks in ("，，", *"。、；：！？"))
    }  # fmt: skip


def test_numbers_and_signs_are_no_marks() -> None:
    assert noisy("punctuation", "3.5 1,000 12:30 50% a@b #c", "en", 1.0).changed == 0


def test_a_text_of_marks_alone_loses_none() -> None:
    assert all(len(noisy("punctuation", "?!", "en", 1.0, seed).text) >= 2 for seed in DRAWS)


def test_look_alikes() -> None:
    def readings(text: str, language: str) -> set[str]:
        return {noisy("ocr", text, language, 1.0, seed).text for seed in range(100)}

    assert readings("rn", "en") == {"m"}
    assert readings("m", "en") == {"rn"}
    assert readings("é", "fr") == {"e"}
    assert readings("й", "ru") == {"и"}
    assert readings("0", "en") == {"O", "Q"}
    assert readings("未", "zh") == {"末"}
    assert readings("ब", "hi") == {"व"}
    assert readings("बि", "hi") == {"वि"}
    assert readings("o", "en") == {"c"}, "no letter that English lacks"
