"""Distances to English, read from the installed package."""

import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from stilts.results.similarity import distances as module
from stilts.results.similarity.distances import FEATURES, distances, installed
from stilts.tasks.benchmarks import BENCHMARKS

if not installed():
    pytest.skip("needs stilts[similarity]", allow_module_level=True)


def test_known_distances():
    syntax = distances(["de", "zh", "en"])["syntax"]
    assert syntax == {
        "de": pytest.approx(0.097, abs=5e-4),
        "zh": pytest.approx(0.288, abs=5e-4),
        "en": pytest.approx(0, abs=1e-6),
    }


def test_every_language_of_the_benchmarks_has_every_distance():
    languages = {lang for benchmark in BENCHMARKS.values() for names in benchmark.languages.values() for lang in names}
    found = distances(languages)
    assert list(found) == list(FEATURES)
    for feature, by_language in found.items():
        assert by_language.keys() == languages, feature
        assert all(0 <= distance <= 1 for distance in by_language.values()), feature


def test_family_is_close_where_it_is_shared_and_1_where_nothing_is():
    family = distances(["de", "nl", "ru", "hi", "fi", "eu", "et"])["family"]
    assert max(family["de"], family["nl"]) < min(family["ru"], family["hi"])
    assert family["fi"] == family["eu"] == family["et"] == 1


def test_what_uriel_has_not_is_left_out():
    assert distances(["qaa"]) == {feature: {} for feature in FEATURES}


def test_nothing_is_unpickled_and_the_package_is_not_imported(monkeypatch):
    load, asked = np.load, []
    monkeypatch.setattr(np, "load", lambda path, **options: asked.append(options) or load(path, **options))
    module._to_english.__wrapped__(module._data(), "syntax")
    assert asked == [{"allow_pickle": False}]
    assert "lang2vec" not in sys.modules


def test_without_the_package_there_are_none(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "distribution", absent)
    assert not installed()
    assert distances(["de"]) == {feature: {} for feature in FEATURES}
