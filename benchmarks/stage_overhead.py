"""Measures the overhead of a trial: the seconds from the end of one trial to the first optimizer step of the next.

Without `--encoder`, it compares the warm gangs of stilts with the pattern in Ray's documentation, a Tune function trial
that runs a TorchTrainer. Both train the same tiny model with the same DeepSpeed configuration on one machine. The first
trial of each is not counted.

    python benchmarks/stage_overhead.py --stages 6 --documented 3 --json overhead.json

With `--encoder FOLDER`, it runs a chain of real stages from that checkpoint on one warm gang: each starts from the
weights of the one before, all train a few steps on the same data, and nothing is evaluated. It prints where the time
goes from the last step of one stage to the first step of the next. The first gap is not counted, because the data are
encoded in the first stage.

    python benchmarks/stage_overhead.py --encoder e5 --stages 6 --json overhead.json
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def train_tiny(trace: Path) -> None:
    """Make one optimizer step with DeepSpeed on a two-layer XLM-R; write the times of the step and of the end."""
    import deepspeed
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    # Without this line, DeepSpeed compiles an operator for a minute.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    config = XLMRobertaConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    model = XLMRobertaModel(config)
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters()),
        config={
            "train_micro_batch_size_per_gpu": 1,
            "zero_optimization": {"stage": 1},
            "zero_allow_untested_optimizer": True,
            "steps_per_print": 10**9,
        },
    )
    ids = torch.randint(5, 100, (1, 16), device=engine.device)
    engine.backward(engine(input_ids=ids).last_hidden_state.square().mean())
    engine.step()
    step = time.time()
    engine.destroy()
    trace.write_text(f"{step} {time.time()}")


def stage(job: Any, ranks: Any, report: Callable[[dict], None]) -> None:
    """The stage function for the warm gang of stilts."""
    train_tiny(Path(job.store) / job.name)


def warm_gang(folder: Path, count: int) -> None:
    """Run a chain of stages, of which one starts after the other."""
    from stilts.experiment.runtime import Runtime
    from stilts.identity.stage import BaseSpec
    from stilts.plan.job import StageJob
    from stilts.run.tune_adapter.execute import execute

    runtime = Runtime(accelerator="cpu")
    names = [f"{i:03}" for i in range(count)]
    parents = [None, *names[:-1]]
    jobs = [
        StageJob(name, BaseSpec({"hub": name}), parent, (), True, False, str(folder), runtime)
        for name, parent in zip(names, parents, strict=True)
    ]
    outcome = execute(jobs, runtime=runtime, stage_function="stage_overhead:stage")
    assert outcome.complete, outcome


def documented(folder: Path, count: int) -> None:
    """Run Tune over TorchTrainer, as in Ray's user guide for hyperparameter tuning with Ray Train."""
    import ray.train
    import ray.train.torch
    from ray import tune

    def loop(config: dict) -> None:
        train_tiny(folder / config["name"])

    def trial(config: dict) -> None:
        trainer = ray.train.torch.TorchTrainer(
            loop,
            train_loop_config=config,
            scaling_config=ray.train.ScalingConfig(num_workers=1),
            run_config=ray.train.RunConfig(name=config["name"], storage_path=str(folder / "train")),
        )
        trainer.fit()

    tuner = tune.Tuner(
        trial,
        param_space={"name": tune.grid_search([f"{i:03}" for i in range(count)])},
        tune_config=tune.TuneConfig(max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
    )
    results = tuner.fit()
    assert not results.errors, results.errors


def overheads(run: Callable[[Path, int], None], count: int) -> list[float]:
    """Seconds from the end of each trial to the first optimizer step of the next."""
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        run(Path(folder), count + 1)
        traces = sorted(path for path in Path(folder).iterdir() if path.is_file())
        times = [[float(part) for part in path.read_text().split()] for path in traces]
    return [step - end for (_, end), (step, _) in itertools.pairwise(times)]


def describe(values: list[float]) -> dict[str, Any]:
    return {"median": statistics.median(values), "max": max(values), "all": values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=10, help="stages in the warm gang")
    parser.add_argument("--documented", type=int, default=4, help="trials of the documented pattern")
    parser.add_argument("--encoder", type=Path, help="folder of a checkpoint: where the time between real stages goes")
    parser.add_argument("--no-ray", action="store_true", help="with --encoder: run the stages in this process")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    os.environ["DS_ACCELERATOR"] = "cpu"

    import ray

    load = os.getloadavg()[0]
    # More CPUs than the documented pattern reserves, so that neither of the two waits for resources.
    if not options.no_ray:
        ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    result = compare(options) if options.encoder is None else real_stages(options)
    result |= {
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "load_before": load},
        "versions": {name: version(name) for name in ("ray", "torch", "transformers", "deepspeed")},
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """The overhead of a warm gang beside that of the documented pattern."""
    ours = describe(overheads(warm_gang, options.stages))
    theirs = describe(overheads(documented, options.documented))
    ratio = theirs["median"] / ours["median"]
    for label, side in (("warm gang", ours), ("Tune over TorchTrainer", theirs)):
        print(f"{label:<24} {side['median']:7.2f} s a trial (max {side['max']:.2f}, n = {len(side['all'])})")
    print(f"{'ratio':<24} {ratio:7.1f}")
    return {"warm_gang_seconds": ours, "documented_seconds": theirs, "ratio": ratio}


def real_stages(options: argparse.Namespace) -> dict[str, Any]:
    """Where the time between two real stages of one warm gang goes."""
    import stage_gap

    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        found = stage_gap.measure(Path(folder), options.encoder, options.stages, with_ray=not options.no_ray)
    stage_gap.show(found)
    return {"encoder": str(options.encoder), **found}


if __name__ == "__main__":
    main()
