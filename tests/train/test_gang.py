"""Two ranks over gloo: the same numbers as one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stilts.evaluate.predict import forward, vectors
from stilts.train.ranks import Ranks
from tests.train.gang_of_two import ALIKE, BITWISE, SMALL, STAGES, Killed, losses
from tests.train.toys import free_port, load_model, make_features

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def found(base: Path, dropping_base: Path, ranks: Ranks, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What two ranks found, having resumed what one rank had begun."""
    folder = tmp_path_factory.mktemp("gang")
    for stage in STAGES:
        with pytest.raises(Killed):
            losses(base, ranks, "mixture", 3 - stage, folder / f"stage{stage}", stop=True)
    port = str(free_port())
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    script = str(Path(__file__).with_name("gang_of_two.py"))
    gang = [
        subprocess.Popen(
            [sys.executable, script, str(rank), port, str(base), str(dropping_base), str(folder / f"{rank}.json")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    output = [process.communicate(timeout=240)[0] for process in gang]
    assert [process.returncode for process in gang] == [0, 0], output
    results = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    assert results[0] == results[1] | {"broadcast": 0}
    return results[0]


def test_collectives(found: dict):
    assert found["broadcast"] == 0
    assert found["gather"] == [0, 1]
    assert found["sum"] == [3.0]
    assert (found["one node"], found["two nodes"]) == ([0, 0], [0, 1])


@pytest.mark.parametrize("family", ALIKE)
def test_two_ranks_lose_what_one_does(base: Path, ranks: Ranks, found: dict, family: str):
    alone, _ = losses(base, ranks, family, 1)
    for stage in ALIKE[family]:
        # The dual encoder's scale of 100 multiplies rounding errors too.
        assert found[family][str(stage)] == pytest.approx(alone, rel=1e-4 if family == "dual_encoder" else 1e-6), stage


@pytest.mark.parametrize("family", ["tagging", "mixture"])
def test_many_micro_batches_on_two_ranks(base: Path, ranks: Ranks, found: dict, family: str):
    alone, _ = losses(base, ranks, family, 1)
    for stage in SMALL:
        assert found[f"small-{family}"][str(stage)] == pytest.approx(alone, rel=1e-5), stage


def test_two_ranks_repeat_a_step_of_which_one_ran_out_of_memory(base: Path, ranks: Ranks, found: dict):
    assert found["any"] == [True, False]
    alone, _ = losses(base, ranks, "tagging", 1)
    for stage in (0, 1):
        assert found["scarce"][str(stage)] == pytest.approx(alone, rel=1e-5), stage


def test_two_ranks_resume_what_one_began(base: Path, ranks: Ranks, found: dict):
    alone, _ = losses(base, ranks, "mixture", 1)
    for stage in STAGES:
        assert found["resumed"][str(stage)] == pytest.approx(alone, rel=1e-6), stage


@pytest.mark.parametrize("stage", BITWISE)
def test_two_ranks_resume_themselves_bitwise(found: dict, stage: int):
    whole, again = found[f"bitwise{stage}"]
    assert again == whole


def test_two_ranks_predict_what_one_does(base: Path, ranks: Ranks, found: dict):
    alone = forward(load_model(base, "classification", 2, seed=0), make_features("classification", 7), {}, ranks)
    assert np.allclose(found["outputs"], alone, atol=1e-6)


def test_two_ranks_find_the_vectors_that_one_does(base: Path, ranks: Ranks, found: dict):
    model, table = load_model(base, "classification", 2, seed=0), make_features("retrieval", 7)
    alone = vectors(model, table, {"layer": 1, "layers": 2}, ranks, family="retrieval", tokens_per_batch=70)
    assert np.allclose(found["vectors"], alone, atol=1e-6)
    assert np.allclose(found["one vector"], alone[:1], atol=1e-6)  # of one row, the second rank has nothing


def test_every_rank_sees_divergence(found: dict):
    assert "the loss is nan" in found["diverged"]
