"""Similarity: points and correlations from differences by language."""

import pyarrow as pa
import pytest
from scipy import stats

from stilts.results.similarity import distances as distances_module
from stilts.results.similarity.distances import ABSENT, FEATURES, distances, installed
from stilts.results.similarity.pretraining import Pretraining
from stilts.results.similarity.similarity import CORRELATIONS, POINTS, similarity

if not installed():
    pytest.skip("needs stilts[similarity]", allow_module_level=True)

LANGUAGES = ("de", "nl", "ru", "hi", "zh", "fi", "ar", "tr")
SIZES = {"de": 66.6, "nl": 29.3, "ru": 278.0, "hi": 20.2, "zh": 63.5, "fi": 54.3, "ar": 28.0}
MODELS = {"m": Pretraining("xlm-roberta", SIZES, "GiB of a corpus")}
SYNTAX = distances(LANGUAGES)["syntax"]


def row(language, difference, target="xnli", intermediate="mnli", model="m", n=5):
    return {
        "split": "test", "model": model, "intermediate": intermediate, "target": target, "language": language,
        "baseline": "none", "difference": difference, "difference_n": n,
    }  # fmt: skip


def tables(rows, official=("xnli", "panx"), models=MODELS):
    points, correlations = similarity(pa.Table.from_pylist(rows), official, models)
    assert (points.schema, correlations.schema) == (POINTS, CORRELATIONS)
    return points.to_pylist(), correlations.to_pylist()


def falling(target="xnli", intermediate="mnli", start=3.0):
    """Gains that decrease with the distance in syntax, plus a small deviation."""
    return [row(lg, start - 4 * SYNTAX[lg] + i % 3, target, intermediate) for i, lg in enumerate(LANGUAGES)]


def test_gains_are_set_against_distances_and_english_is_left_out():
    rows = [*falling(), row("en", 9.0), row("mean", 8.0), row("el", None)]
    points, correlations = tables(rows)
    of_target = [point for point in points if point["target"] == "xnli"]
    assert [point["language"] for point in of_target] == list(LANGUAGES)
    german = of_target[0]
    assert (german["gain"], german["n"], german["family"]) == (rows[0]["difference"], 5, "xlm-roberta")
    assert (german["distance_syntax"], german["pretraining_size"]) == (SYNTAX["de"], 66.6)
    syntax = next(found for found in correlations if (found["target"], found["feature"]) == ("xnli", "syntax"))
    theirs = stats.pearsonr([SYNTAX[lg] for lg in LANGUAGES], [point["gain"] for point in of_target])
    assert (syntax["languages"], syntax["pearson"]) == (8, pytest.approx(theirs.statistic))
    assert syntax["pearson_low"] < syntax["pearson"] < syntax["pearson_high"]
    assert (syntax["partial_languages"], syntax["size_source"]) == (7, "GiB of a corpus")


def test_all_is_as_if_every_target_had_every_language():
    # Gains are those of the target plus those of the language; a plain mean would rank languages by their targets.
    effect = {lg: -5 * SYNTAX[lg] for lg in LANGUAGES}
    rows = [row(lg, 1 + effect[lg]) for lg in LANGUAGES]
    rows += [row(lg, 20 + effect[lg], "panx") for lg in LANGUAGES[3:]]
    rows += [row(lg, 500.0, "elsewhere") for lg in LANGUAGES[:2]]
    points = [point for point in tables(rows)[0] if point["target"] == "all"]
    assert [point["gain"] for point in points] == [pytest.approx(10.5 + effect[lg]) for lg in LANGUAGES]
    assert [point["n"] for point in points] == [1, 1, 1, 2, 2, 2, 2, 2]


def test_targets_without_a_common_language_have_no_all():
    rows = [row(lg, 1.0, "xnli") for lg in LANGUAGES[:4]] + [row(lg, 2.0, "panx") for lg in LANGUAGES[4:]]
    assert {point["target"] for point in tables(rows)[0]} == {"xnli", "panx"}


def test_too_few_languages_have_no_correlation():
    found = tables([row(lg, float(i)) for i, lg in enumerate(LANGUAGES[:4])])[1]
    assert {c["note"] for c in found} == {"too few languages (4)"}
    assert {c["pearson"] for c in found} == {c["comparisons"] for c in found} == {None}


def test_equal_gains_have_no_correlation():
    assert {c["note"] for c in tables([row(lg, 1.5) for lg in LANGUAGES])[1]} == {"gains do not differ"}


def test_without_sizes_the_partial_correlation_is_missing_and_the_others_are_there():
    found = tables(falling(), models={"m": Pretraining(None)})[1]
    assert {c["note"] for c in found} == {"no partial correlation: too few languages (0)"}
    assert all(c["pearson"] is not None and c["partial"] is None for c in found)
    equal = tables(falling(), models={"m": Pretraining("bert", dict.fromkeys(LANGUAGES, 7.0), "sentences")})[1]
    assert {c["note"] for c in equal} == {"no partial correlation: pretraining sizes do not differ"}


def test_p_is_adjusted_over_the_regimes_and_features_of_a_target():
    found = tables([*falling(), *falling(intermediate="squad", start=0.0), *falling("panx")])[1]
    of_target = [c for c in found if c["target"] == "xnli"]
    assert {c["comparisons"] for c in of_target} == {2 * len(FEATURES)}
    smallest = min(of_target, key=lambda c: c["pearson_p"])
    assert smallest["pearson_p_holm"] == pytest.approx(min(1.0, 10 * smallest["pearson_p"]))
    assert {c["comparisons"] for c in found if c["target"] == "panx"} == {len(FEATURES)}


def test_languages_that_were_made_up_have_no_distance():
    rows = [row(f"qa{letter}", float(i)) for i, letter in enumerate("abcdef")]
    points, correlations = tables(rows)
    assert {point["distance_syntax"] for point in points} == {None}
    assert {c["note"] for c in correlations} == {"too few languages (0)"}


def test_without_the_package_the_analysis_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(distances_module, "_data", lambda: None)
    points, correlations = tables(falling())
    assert points[0]["gain"] is not None
    assert {c["note"] for c in correlations} == {ABSENT}
