"""`stilts tune`: mistakes in a search end it before anything starts."""

from pathlib import Path

from tests.cli.conftest import Run


def search(experiment: Path, field: str) -> Path:
    """A search over a field of the recipe of a target that the experiment does not have."""
    path = experiment.parent / "search.yaml"
    path.write_text(
        f"experiment: {experiment.name}\nname: search\n"
        f"search:\n  target: xnly\n  space:\n    {field}: {{low: 1e-5, high: 1e-3}}\n  trials: 4\n"
    )
    return path


def test_mistakes_are_told_together_before_anything_starts(stilts: Run, experiment: Path) -> None:
    code, _, err = stilts("tune", search(experiment, "learning_rat"))
    assert code == 1
    assert "learning_rat" in err
    assert not (experiment.parent / "results").exists()


def test_a_target_that_is_not_there_is_named(stilts: Run, experiment: Path) -> None:
    code, _, err = stilts("tune", search(experiment, "learning_rate"))
    assert code == 1
    assert "xnly" in err
    assert "xnli" in err
