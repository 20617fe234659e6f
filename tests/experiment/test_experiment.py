"""An experiment made in Python: lists and dictionaries as in YAML, every mistake in one error, described fields."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from stilts.experiment.experiment import Experiment
from stilts.experiment.load import load_experiment
from stilts.experiment.mistakes import InvalidExperiment, model_of
from stilts.experiment.search import Tuning

FIELDS: dict[str, Any] = {
    "name": "small",
    "seeds": [1, 2],
    "models": {"xlmr": {"hub": "FacebookAI/xlm-roberta-base", "revision": "e73636d"}},
    "intermediates": ["none", "mnli"],
    "targets": {"xnli": {"languages": ["en", "sw"], "settings": {"layers": [1, 2]}}, "xquad": None},
    "recipes": {"xnli": {"epochs": 2, "warmup": 0.1}},
}
YAML = """\
name: small
seeds: [1, 2]
models: {xlmr: {hub: FacebookAI/xlm-roberta-base, revision: e73636d}}
intermediates: [none, mnli]
targets: {xnli: {languages: [en, sw], settings: {layers: [1, 2]}}, xquad:}
recipes: {xnli: {epochs: 2, warmup: 0.1}}
"""


def test_python_and_yaml_declare_the_same(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(YAML)
    made, read = Experiment(**FIELDS), load_experiment(tmp_path / "e.yaml")
    assert made == read
    assert made.model_dump(mode="json") == read.model_dump(mode="json")
    assert Experiment(**made.model_dump(mode="json")) == made
    assert Experiment.model_validate_json(made.model_dump_json()) == made


def test_paths_are_text(tmp_path: Path) -> None:
    made = Experiment(**FIELDS, store=tmp_path / "store", data={"xtreme": tmp_path})
    assert (made.store, made.data.xtreme) == (str(tmp_path / "store"), str(tmp_path))


def test_every_mistake_is_in_one_error() -> None:
    with pytest.raises(InvalidExperiment) as caught:
        Experiment(
            **{**FIELDS, "seeds": "1", "targets": {"xnli": {"langages": []}}},
            recipe={"learning_rat": 1e-5},
            runtime=3,
            store="s3://bucket/x?token=abcdefgh",
        )
    assert [str(mistake) for mistake in caught.value.mistakes] == [
        "store: holds credentials in a URI; an experiment is stored and needs no secret: libraries read theirs from "
        "the environment, a profile or own files",
        "seeds: should be a list, not text ('1')",
        "targets.xnli.langages: unknown key; did you mean 'languages'?",
        "recipe.learning_rat: unknown key; did you mean 'learning_rate'?",
        "runtime: should be a mapping, not a number (3)",
    ]
    assert str(caught.value).startswith("5 problems:\n  - store: holds credentials")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_every_field_has_a_description() -> None:
    seen: set[type] = set()

    def check(model: Any) -> None:
        if model in seen:
            return
        seen.add(model)
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no docstring"
            for option in (field.annotation, *getattr(field.annotation, "__args__", ())):
                inner = model_of(option)
                if inner is not None:
                    check(inner)

    check(Tuning)
    assert len(seen) > 10
