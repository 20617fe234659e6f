"""ray_jobs/sharded.yaml: laid over every study, planned, priced and simulated beside one GPU a trial, and run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stilts.experiment.load import load_experiment, load_tuning
from stilts.plan.cost.compare import compared
from stilts.plan.summary import Plan
from stilts.session import Session
from tests.test_main_job import write

JOBS = Path(__file__).parents[2] / "ray_jobs"
SHARDED = JOBS / "sharded.yaml"
STUDIES = sorted({*JOBS.glob("*.yaml")} - {SHARDED, JOBS / "large.yaml"})
"""All but the one whose trials are gangs already."""
NODE = {"gpus": 8, "max_nodes": 8, "price_per_hour": 20, "losses_per_hour": 0.02, "accelerator_type": "A100"}


def plan(file: Path, folder: Path, *patches: Path, **node: float) -> Plan:
    nodes = {"a100": {**NODE, **node}}
    given = [f"store={folder}", f"cluster={json.dumps({'nodes': nodes})}"]
    given += ["data.generate.sentences=40"] if file.stem == "quickstart" else []
    load = load_tuning if file.name.startswith("tune") else load_experiment
    return Session.of(load(file, given, {}, patches)).plan()


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_every_study_is_planned_priced_and_simulated_sharded(file: Path, tmp_path: Path) -> None:
    plans = {"alone": plan(file, tmp_path), "sharded": plan(file, tmp_path, SHARDED)}
    assert list(plans["alone"].jobs) == list(plans["sharded"].jobs), "it changes no key"
    alone, sharded = compared(plans, simulate=True)
    assert (alone["ranks"], sharded["ranks"], sharded["zero_stage"]) == (1, 4, 2)
    for row in (alone, sharded):
        assert 0 < row["hours_at_least"] <= row["simulated_hours"]
        assert row["simulated_cost"] > 0
    assert sharded["gpu_hours"] > alone["gpu_hours"], "no study's model needs 4 GPUs, which do not scale for free"
    assert sharded["gpu_hours"] < 12 * alone["gpu_hours"]


def test_sharding_shortens_long_batches_of_a_large_model(tmp_path: Path) -> None:
    """XLM-R XL with 512 examples of question answering a step, on A100s with NVLink, and over a slow network."""
    xl = {"model_type": "xlm-roberta-xl", "hidden_size": 2560, "num_hidden_layers": 36, "intermediate_size": 10240,
          "vocab_size": 250880}  # fmt: skip
    study = tmp_path / "xl.yaml"
    models = {"xl": {"hub": "facebook/xlm-roberta-xl", "revision": "0" * 40, "shape": xl}}
    recipe = {"batch_size": 512, "max_length": 384}
    fields = {"name": "xl", "seeds": [1], "models": models, "intermediates": ["none"], "targets": ["xquad"]}
    study.write_text(json.dumps({**fields, "recipe": recipe}))
    (alone, sharded) = compared({"1": plan(study, tmp_path), "4": plan(study, tmp_path, SHARDED)}, simulate=False)
    assert sharded["longest_stage_hours"] < 0.4 * alone["longest_stage_hours"]
    assert sharded["gpu_hours"] < 1.4 * alone["gpu_hours"]
    one_each = {"gpus": 1, "max_nodes": 64, "network_bandwidth": 0.1}
    (apart,) = compared({"4": plan(study, tmp_path, SHARDED, **one_each)}, simulate=False)
    assert apart["longest_stage_hours"] > sharded["longest_stage_hours"]


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "zero_stage"), [(2, 1), (4, 2), (2, 3)])
def test_a_small_study_runs_sharded_on_cpu_ranks(tmp_path: Path, ranks: int, zero_stage: int) -> None:
    """Over gloo; a run with one rank then finds nothing left to train, as the keys are the same."""
    experiment = write(tmp_path)
    settings = [f"runtime.ranks={ranks}", f"runtime.zero_stage={zero_stage}", "runtime.accelerator=cpu",
                "runtime.cpus_per_rank=0.25", "intermediates=[none]", "targets=[xnli, udpos]"]  # fmt: skip

    def stilts(command: str, *arguments: str) -> dict:
        given = [part for setting in settings[2:] for part in ("--set", setting)]
        done = subprocess.run(
            [sys.executable, "-m", "stilts", command, str(experiment), *given, *arguments, "--json"],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=550,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    gang = [part for setting in settings[:2] for part in ("--set", setting)]
    stilts("run", "--with", str(SHARDED), *gang)
    records = [json.loads(path.read_text()) for path in tmp_path.glob("store/stages/*/record.json")]
    trained = [record for record in records if record.get("train")]
    assert len(trained) == 3, "MLM, XNLI and UD-POS"
    for record in trained:
        assert (record["runtime"]["ranks"], record["runtime"]["zero_stage"]) == (ranks, zero_stage)
        assert record["speed"]["engine"] == "deepspeed"
    found = stilts("plan")
    assert (found["to_train"], found["evaluations_missing"]) == (0, 0)
    assert found["speed"]["source"].startswith("measured on")
