"""Resume states: bitwise continuation, and kills between any two writes."""

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.checkpoint import ResumeStore
from stilts.train.loop import train
from stilts.train.ranks import Ranks
from stilts.train.result import TrainResult
from tests.train.toys import load_model, make_features, one_part


class Killed(Exception):
    pass


def run(
    base: Path, ranks: Ranks, folder: Path | None = None, kill_after: int = 0, stage: int = 1, **fields
) -> tuple[TrainResult, dict[str, torch.Tensor]]:
    """Eight steps with dev scores; killed right after resume state number `kill_after`."""
    states = []

    def saved(path: Path) -> None:
        states.append(path)
        if len(states) == kill_after:
            raise Killed

    model = load_model(base, "classification", 2, seed=0)
    settings = {"learning_rate": 3e-3, "max_steps": 8, "batch_size": 8, "max_length": 64, "precision": "fp32"}
    recipe = Recipe(**{**settings, "weight_decay": 0.1, "warmup": 2, "evaluate_every": 2, **fields})
    scores = {2: 1.0, 4: 3.0, 6: 2.0, 8: 2.5}
    result = TrainResult()

    def dev_score() -> dict[str, float]:
        return {"classification": scores[evaluated.pop(0)]}

    done = json.loads((folder / "state.json").read_text())["step"] if folder and (folder / "state.json").exists() else 0
    evaluated = [step for step in scores if step > done]
    store = None if folder is None else ResumeStore(folder, saved)
    runtime = Runtime(zero_stage=stage, checkpoint_seconds=1e-6 if kill_after else 600)
    parts = one_part(make_features("classification", 60), "classification", recipe)
    result = train(model, parts, recipe, runtime, ranks, dev_score=dev_score, resume=store)
    return result, {name: value.detach().clone() for name, value in model.named_parameters()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("stage", "precision"), [(0, "fp32"), (1, "fp32"), (2, "fp32"), (3, "fp32"), (1, "bf16"), (2, "bf16"), (3, "bf16")]
)
def test_resume_is_bitwise(dropping_base: Path, ranks: Ranks, tmp_path: Path, stage: int, precision: str):
    whole, weights = run(dropping_base, ranks, stage=stage, precision=precision)
    with pytest.raises(Killed):
        run(dropping_base, ranks, tmp_path / "resume", kill_after=3, stage=stage, precision=precision)
    result, resumed = run(dropping_base, ranks, tmp_path / "resume", stage=stage, precision=precision)
    assert result.losses == whole.losses
    assert result.dev == whole.dev
    assert result.best_step == whole.best_step == 4
    assert (result.examples, result.tokens) == (whole.examples, whole.tokens)
    assert same(weights, resumed)


def test_the_best_weights_survive(dropping_base: Path, ranks: Ranks, tmp_path: Path):
    _, weights = run(dropping_base, ranks)
    with pytest.raises(Killed):
        run(dropping_base, ranks, tmp_path / "resume", kill_after=5)
    result, resumed = run(dropping_base, ranks, tmp_path / "resume")
    assert result.best_step == 4
    assert same(weights, resumed)


@pytest.mark.parametrize("stages", [(1, 3), (3, 2), (2, 0)])
def test_another_zero_stage_goes_on(base: Path, ranks: Ranks, tmp_path: Path, stages: tuple[int, int]):
    whole, _ = run(base, ranks)
    with pytest.raises(Killed):
        run(base, ranks, tmp_path / "resume", kill_after=3, stage=stages[0])
    result, _ = run(base, ranks, tmp_path / "resume", stage=stages[1])
    assert [loss for _, loss in result.losses] == pytest.approx([loss for _, loss in whole.losses], rel=1e-6)


def test_a_state_of_another_run_is_not_used(base: Path, ranks: Ranks, tmp_path: Path):
    with pytest.raises(Killed):
        run(base, ranks, tmp_path / "resume", kill_after=3)
    shutil.rmtree(tmp_path / "kept", ignore_errors=True)
    whole, _ = run(base, ranks, learning_rate=1e-3)
    (tmp_path / "resume").rename(tmp_path / "kept")
    shutil.copytree(tmp_path / "kept", tmp_path / "resume.old")  # found, but of another learning rate
    result, _ = run(base, ranks, tmp_path / "resume", learning_rate=1e-3)
    assert result.losses == whole.losses


@pytest.fixture
def state(base: Path, ranks: Ranks, tmp_path: Path) -> Path:
    """A resume state at step 2."""
    with pytest.raises(Killed):
        run(base, ranks, tmp_path / "resume", kill_after=2)
    return tmp_path / "resume"


def test_a_kill_while_writing_leaves_the_old_state(ranks: Ranks, state: Path):
    names = sorted(file.name for file in state.iterdir())
    assert names == ["best.safetensors", "manifest.json", "state.json", "state.safetensors"]
    for written in range(4):
        fresh = state.with_name("resume.writing") / "one"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for name in names[:written]:
            (fresh / name).write_bytes(b"half")
        assert ResumeStore(state).find(ranks).folder == state


def test_a_kill_between_the_renames_leaves_a_state(ranks: Ranks, state: Path):
    for where in ("resume.old", "resume.writing/one"):
        shutil.copytree(state, state.with_name("resume.old").parent / where)
    shutil.rmtree(state)
    assert ResumeStore(state).find(ranks).folder == state.with_name("resume.writing") / "one"
    shutil.rmtree(state.with_name("resume.writing"))
    assert ResumeStore(state).find(ranks).folder == state.with_name("resume.old")


class PausedWhileWriting(ResumeStore):
    """Stops after its tensors are on disk; meanwhile another attempt writes a state, whole."""

    heirs: ClassVar[list[ResumeStore]] = []

    def _write_meta(self, fresh: Path, meta: dict[str, Any]) -> None:
        if self.heirs:
            self.heirs.pop()._write({"weight": torch.ones(1)}, {"step": 9}, None)
        super()._write_meta(fresh, meta)


def test_a_writer_that_wakes_up_does_not_mix_its_state_with_its_successors(ranks: Ranks, tmp_path: Path):
    paused = PausedWhileWriting(tmp_path / "resume")
    paused.heirs.append(ResumeStore(tmp_path / "resume"))
    with pytest.raises(FileNotFoundError):
        paused._write({"weight": torch.zeros(1)}, {"step": 5}, None)
    found = ResumeStore(tmp_path / "resume").find(ranks)
    assert found.meta["step"] == 9
    assert load_file(found.folder / "state.safetensors")["weight"].item() == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resume"]


def test_nothing_is_written_once_the_stage_was_taken_over(state: Path):
    def taken() -> None:
        raise Killed

    before = {file.name: file.read_bytes() for file in state.iterdir()}
    with pytest.raises(Killed):
        ResumeStore(state, confirm=taken)._write({"weight": torch.zeros(1)}, {"step": 1}, None)
    assert {file.name: file.read_bytes() for file in state.iterdir()} == before


@pytest.mark.parametrize("name", ["best.safetensors", "manifest.json", "state.json", "state.safetensors"])
@pytest.mark.parametrize("damage", ["removed", "cut", "changed"])
def test_damage_is_detected(ranks: Ranks, state: Path, name: str, damage: str):
    content = (state / name).read_bytes()
    (state / name).unlink()
    if damage == "cut":
        (state / name).write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        (state / name).write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    assert ResumeStore(state).find(ranks) is None


def test_clear_leaves_nothing(ranks: Ranks, state: Path):
    shutil.copytree(state, state.with_name("resume.old"))
    ResumeStore(state).clear()
    assert ResumeStore(state).find(ranks) is None
    assert list(state.parent.iterdir()) == []
