"""What models were pretrained on: published sizes, and those of an experiment that pretrains its own."""

import pytest

from stilts.experiment.experiment import Experiment
from stilts.identity.stage import DataRef
from stilts.plan.expand import expand
from stilts.results.similarity.pretraining import OWN, pretrainings

TINY = {"config": {"model_type": "bert", "hidden_size": 12}, "tokenizer": {"vocab_size": 300}}

ROWS = {"en": 500, "de": 200, "sw": None}


class Sentences:
    """Training data of every task in English, and text in three languages; the size of one of them is not known."""

    def has(self, task, split, language):
        return task.name != "mlm" or language in ROWS

    def ref(self, task, split, language):
        rows = ROWS[language] if task.name == "mlm" else 10
        return DataRef(task.name, split, language, f"sha256:{task.name}{split}{language}", rows=rows)


def expansion(**models):
    declared = {"name": "x", "seeds": (1,), "models": models, "intermediates": ["none", "mnli"], "targets": ["xnli"]}
    return expand(Experiment.model_validate({**declared, "languages": ("en", "de")}), Sentences())


def test_published_sizes_of_a_checkpoint():
    found = pretrainings(expansion(a={"hub": "FacebookAI/xlm-roberta-large", "revision": "c23d21b"}))["a"]
    assert found.family == "xlm-roberta"
    assert (found.sizes["en"], found.sizes["sw"], found.sizes["zh"]) == (300.8, 1.6, pytest.approx(46.9 + 16.6))
    assert "yo" not in found.sizes
    assert found.source == "GiB of CC-100 (Conneau et al. 2020, Appendix A, Table 6, arXiv:1911.02116)"


def test_a_checkpoint_whose_sizes_are_not_published_has_none():
    models = {
        "a": {"hub": "google/rembert", "revision": "refs/pr/3"},
        "b": {"hub": "someone/model", "revision": "main"},
    }
    found = pretrainings(expansion(**models))
    assert (found["a"].family, found["a"].sizes, found["a"].source) == ("rembert", {}, None)
    assert found["b"].family is None


def test_sentences_of_an_experiment_that_pretrains_its_own():
    stages = ({"task": "mlm"}, {"task": "mlm", "recipe": {"max_examples": 300}, "languages": ("en",)})
    found = pretrainings(expansion(a={"init": TINY, "pretrain": stages}, b={"init": TINY}))
    assert (found["a"].family, found["a"].source) == ("bert", OWN)
    assert found["a"].sizes == {"en": 800, "de": 200}
    assert (found["b"].sizes, found["b"].source) == ({}, None)
