"""One stage in the foreground: `stilts run --debug` and `stilts.debug`."""

from pathlib import Path

import pytest

import stilts
from stilts.errors import StiltsError
from stilts.experiment.load import load_experiment
from stilts.ledger.record import read_failure
from stilts.run.stage import training
from stilts.train.loop import Diverged
from stilts.train.ranks import Ranks
from tests.cli.conftest import EXPERIMENT, PAIRS


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "xtreme" / "xnli"
    folder.mkdir(parents=True)
    for name in ("train-en.tsv", "dev-en.tsv"):
        (folder / name).write_text(PAIRS)
    for language in ("en", "de"):
        (folder / f"test-{language}.tsv").write_text("A man eats.\tSomebody eats.\n")
    (tmp_path / "en.txt").write_text("A man eats.\nSomebody sleeps.\n" * 20)
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT.format(folder=tmp_path))
    return path


def test_stages_run_here_one_after_the_other(
    experiment: Path, ranks: Ranks, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = stilts.plan(experiment).table["name"].tolist()
    base, target = names[0], names[-1]
    with pytest.raises(StiltsError, match=f"starts from {base}, which is not in the store yet.*--debug {base}"):
        stilts.debug(experiment, target)
    assert stilts.debug(experiment, base) == base
    assert stilts.debug(experiment, base) is None

    def broken(*given: object, **named: object) -> None:
        print("printed here")
        raise ValueError("bad step")

    with monkeypatch.context() as patched:
        patched.setattr(training, "train", broken)
        with pytest.raises(ValueError, match="bad step"):
            stilts.debug(experiment, target[:-3])
    assert "printed here" in capsys.readouterr().out
    failure = read_failure(stilts.open_store(str(experiment.parent / "store")), target)
    assert failure is not None
    assert failure["error"].startswith("ValueError: bad step")
    assert "stilts/run/stage/training.py:" in failure["error"]
    log = stilts.logs(target, experiment=experiment).to_json()
    assert (log["status"], log["ranks"]) == ("failed", [])
    assert "in broken" in log["ending"]["traceback"]

    assert stilts.debug(experiment, target) == target
    assert set(stilts.status(experiment).table["state"]) == {"done"}


def test_a_stage_that_diverged_is_tried_again(experiment: Path, ranks: Ranks, monkeypatch: pytest.MonkeyPatch) -> None:
    names = stilts.plan(experiment).table["name"].tolist()
    base, target = names[0], names[-1]
    stilts.debug(experiment, base)

    def diverges(*given: object, **named: object) -> None:
        raise Diverged("the loss is NaN")

    with monkeypatch.context() as patched:
        patched.setattr(training, "train", diverges)
        with pytest.raises(Diverged):
            stilts.debug(experiment, target)
    failure = read_failure(stilts.open_store(str(experiment.parent / "store")), target)
    assert failure is not None
    assert failure["status"] == "diverged"
    assert stilts.debug(experiment, target) == target


def test_several_ranks_are_refused(experiment: Path) -> None:
    several = load_experiment(experiment, ["runtime.ranks=2"])
    with pytest.raises(StiltsError, match=r"add --set runtime\.ranks=1"):
        stilts.debug(several, "tiny")


def test_an_unknown_stage_is_refused(experiment: Path) -> None:
    with pytest.raises(StiltsError, match="no stage 'other'"):
        stilts.debug(experiment, "other")
