"""The studies: what they declare, and their small forms for a laptop."""

from pathlib import Path

import pytest

from stilts.encoders.config_checks import init_problems
from stilts.experiment.experiment import Experiment
from stilts.experiment.load import load_experiment

FOLDER = Path(__file__).resolve().parents[2] / "ray_jobs"
STUDIES = sorted(path.stem for path in FOLDER.glob("*.yaml") if "question:" in path.read_text())
SMALL_ITSELF = "laptop"
"""The study that fits a laptop as it is: its encoder is small and pretrained, and no small form is laid over it."""


def small(study: str, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """The study with its small model and data laid over it."""
    monkeypatch.setenv("XTREME_DATA", "data")
    own = FOLDER / "mini" / f"{study}.yaml"
    return load_experiment(
        FOLDER / f"{study}.yaml", patches=[FOLDER / "mini" / "common.yaml", *([own] if own.exists() else [])]
    )


def test_every_study_asks_a_question() -> None:
    assert len(STUDIES) >= 10
    for study in STUDIES:
        assert load_experiment(FOLDER / f"{study}.yaml").question


@pytest.mark.parametrize("study", [study for study in STUDIES if study != SMALL_ITSELF])
def test_the_small_models_can_be_built(study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for model in small(study, monkeypatch).models.values():
        assert model.init is not None
        assert init_problems(model.init.config, model.init.tokenizer.vocab_size) == []


def test_the_main_grid_holds_the_claims_of_the_study_that_it_repeats() -> None:
    claims = load_experiment(FOLDER / "main_grid.yaml").claims
    near = {name: claim.difference.near for name, claim in claims.items() if claim.difference is not None}
    assert near == {"squad-by-8-2": 8.2, "mnli-by-7-5": 7.5, "hellaswag-by-7-0": 7.0}
    assert claims["all-nine-best"].order is not None
    assert {claim.kind for claim in claims.values()} == {"difference", "order", "share"}


def test_the_laptop_study_leaves_out_the_seed_it_was_tuned_on_and_declares_a_case_with_a_gain_and_one_without() -> None:
    folders = {"XTREME_DATA": "data", "LAPTOP_DATA": "data"}
    study = load_experiment(FOLDER / "laptop.yaml", environment=folders, patches=[FOLDER / "mini" / "laptop.yaml"])
    assert 0 not in study.seeds
    assert len(study.seeds) >= 5
    differences = [claim.difference for claim in study.claims.values() if claim.difference is not None]
    assert {difference.languages for difference in differences} == {"transfer"}
    assert any(difference.above == 0 for difference in differences)
    assert any(difference.below is not None for difference in differences)
    sources = study.data.tasks
    assert sources["mnli"].train != sources["xnli"].train
