"""Measures training and evaluation on a GPU: one command, a table, and a JSON file named after the hardware.

    python benchmarks/gpu.py [--device cuda] [--model large] [--data xnli pos qa mlm] [--batch 32 512] [--json FILE]

It trains XLM-R Large (random weights, synthetic data, bf16) with the training loop of a stage, on one GPU. For each
data and batch size it prints real tokens per second; the share of the peak that products of large bf16 matrices
reach here; the milliseconds of a step, and of these what the GPU spends in matrix products, in attention, in the
optimizer and in other kernels (torch.profiler), and `host`, in which it waits; the seconds that a stage takes outside
its steps (engine, compilation, last weights); and the most GPU memory. Then it prints how much of an evaluation the GPU
is busy. Times of steps are measured without the profiler.

`--device cpu` runs the same code with a tiny model in less than a minute, which shows that it works; CI does so.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.profiler import ProfilerActivity, profile
from workload import DATA, MODELS, configuration, examples, flops_per_token, gemm_flops, stilts_model

from stilts.evaluate.predict import forward
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.loop import train
from stilts.train.precision import set_precision
from stilts.train.ranks import Ranks, connect
from stilts.train.step_schedule import TrainPart

RESULTS = Path(__file__).resolve().parent / "results"
WARM_UP, TIMED, PROFILED = 10, 40, 5
"""Steps on a GPU before the measurement, of it, and under the profiler."""
FEW = 2, 3, 2
"""The same on a CPU."""

KINDS = (
    ("attention", re.compile(r"flash|fmha|attention|softmax|varlen", re.IGNORECASE)),
    ("optimizer", re.compile(r"adam|multi_tensor|vector_norm|lpnorm", re.IGNORECASE)),
    ("matmul", re.compile(r"gemm|cutlass|nvjet|xmma|cublas|sm\d+_xmma|aten::(?:mm|addmm|bmm|baddbmm)$", re.IGNORECASE)),
)
"""Kinds of kernels (on a CPU: of operations) by their names; the first that matches counts."""


class Marks(Ranks):
    """A single rank that calls `mark(n)` at the end of the n-th step: `start_sum` is the last call of a step."""

    mark: Callable[[int], None]
    number: int

    def start_sum(self, *values: Any) -> Callable[[], list[float]]:
        sums = super().start_sum(*values)
        object.__setattr__(self, "number", self.number + 1)
        self.mark(self.number)
        return sums


def marked(device: torch.device, mark: Callable[[int], None]) -> Marks:
    ranks = Marks(0, 1, device)
    object.__setattr__(ranks, "mark", mark)  # the class is frozen
    object.__setattr__(ranks, "number", 0)
    return ranks


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def profiler(device: torch.device) -> profile:
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    return profile(activities=activities)


def milliseconds(found: profile, device: torch.device) -> dict[str, float]:
    """Milliseconds of the device in the kernels of each kind; on a CPU, of the host in the operations."""
    from torch.autograd import DeviceType

    kinds = dict.fromkeys([kind for kind, _ in KINDS] + ["other"], 0.0)
    for row in found.key_averages():
        if device.type == "cuda":
            if row.device_type != DeviceType.CUDA:
                continue  # an operation, whose kernels have rows of their own
            spent = row.self_device_time_total
        else:
            spent = row.self_cpu_time_total
        kind = next((kind for kind, names in KINDS if names.search(row.key)), "other")
        kinds[kind] += spent / 1000
    return kinds


def measure_steps(
    name: str, model_name: str, batch: int, device: torch.device, peak: float, budget: int | str
) -> dict[str, Any]:
    """Train one stage and measure its steps."""
    data = DATA[name]
    warm_up, timed, profiled = (WARM_UP, TIMED, PROFILED) if device.type == "cuda" else FEW
    rows = examples(data, max(256, batch * 4), configuration(model_name).vocab_size)
    steps = warm_up + timed + profiled
    recipe = Recipe(
        max_steps=steps,
        batch_size=batch,
        max_length=data.max_length,
        precision="bf16" if device.type == "cuda" else "fp32",
        selection="last",
    )
    times: dict[int, float] = {}
    watch = profiler(device)

    def mark(number: int) -> None:
        if number in (1, warm_up, warm_up + timed, steps):
            synchronize(device)
            times[number] = time.perf_counter()
        if number == warm_up + timed:
            watch.start()
        if number == steps:
            watch.stop()
            times[steps] = time.perf_counter()

    lengths = np.array([len(row["input_ids"]) for row in rows])
    model = stilts_model(model_name, data)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    part = TrainPart("task", "head", pa.Table.from_pylist(rows), recipe)
    began = time.perf_counter()
    result = train(model, [part], recipe, Runtime(tokens_per_micro_batch=budget), marked(device, mark))
    ended = time.perf_counter()
    seconds = (times[warm_up + timed] - times[warm_up]) / timed
    tokens = result.tokens / steps / seconds
    kinds = {kind: spent / profiled for kind, spent in milliseconds(watch, device).items()}
    step = 1000 * seconds
    return {
        "data": name,
        "batch": batch,
        "tokens_per_second": tokens,
        "share_of_peak": tokens * flops_per_token(model_name, data, lengths) / peak,
        "step_ms": step,
        "ms": {**kinds, "host": max(0.0, step - sum(kinds.values()))},
        "stage_overhead_seconds": times[1] - began + ended - times[steps],
        "memory_bytes": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _most_held(),
        "computed_with": result.how,
    }


def measure_evaluation(name: str, model_name: str, count: int, device: torch.device) -> dict[str, Any]:
    """Tokens per second of an evaluation's forward passes, and the share of the time in which the device is busy."""
    data = DATA[name]
    rows = examples(data, count, configuration(model_name).vocab_size, seed=1)
    model = stilts_model(model_name, data).to(device)
    if device.type == "cuda":
        set_precision(model, "bf16")
    model.eval()
    features, ranks = pa.Table.from_pylist(rows), Ranks(0, 1, device)

    def run() -> float:
        synchronize(device)
        began = time.perf_counter()
        forward(model, features, {}, ranks, head="head")
        synchronize(device)
        return time.perf_counter() - began

    run()
    seconds = run()
    with profiler(device) as watch:
        run()
    busy = sum(milliseconds(watch, device).values()) / 1000
    tokens = sum(len(row["input_ids"]) for row in rows)
    return {"data": name, "tokens_per_second": tokens / seconds, "device_share": min(1.0, busy / seconds)}


def _most_held() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def hardware(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def show(report: dict[str, Any]) -> None:
    print(f"{report['hardware']}: {report['peak_flops'] / 1e12:.2f} TFLOP/s in products of large matrices\n")
    kinds = ["host", "matmul", "attention", "optimizer", "other"]
    columns = ["data", "batch", "tokens/s", "of peak", "ms a step", *kinds, "overhead s", "GB"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in report["steps"]:
        cells = [row["data"], str(row["batch"]), f"{row['tokens_per_second']:,.0f}", f"{row['share_of_peak']:.1%}"]
        cells += [f"{row['step_ms']:.1f}", *(f"{row['ms'][kind]:.1f}" for kind in kinds)]
        cells += [f"{row['stage_overhead_seconds']:.1f}", f"{row['memory_bytes'] / 1e9:.2f}"]
        print(f"| {' | '.join(cells)} |")
    print("\n| evaluation | tokens/s | device busy |\n|---|---|---|")
    for row in report["evaluation"]:
        print(f"| {row['data']} | {row['tokens_per_second']:,.0f} | {row['device_share']:.0%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--model", help="a name in workload.py or a folder; by default large, and tiny on a CPU")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--batch", nargs="+", type=int, help="by default 32 and 512, and 8 on a CPU")
    parser.add_argument("--budget", default="auto", help="runtime.tokens_per_micro_batch")
    parser.add_argument("--json", type=Path, help="by default results/gpu-NAME.json on a GPU, and no file on a CPU")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; --device cpu runs the same code with a tiny model")
    gpu = given.device == "cuda"
    device = torch.device("cuda", 0) if gpu else torch.device("cpu")
    model = given.model or ("large" if gpu else "tiny")
    if model not in MODELS and not Path(model).is_dir():
        parser.error(f"--model {model}: neither one of {', '.join(MODELS)} nor a folder")
    budget = given.budget if given.budget == "auto" else int(given.budget)
    connect(0, 1, "127.0.0.1", 0, device)
    peak = gemm_flops(8192 if gpu else 512, device, torch.bfloat16 if gpu else torch.float32)
    name = hardware(device)
    report: dict[str, Any] = {
        "hardware": name,
        "model": model,
        "peak_flops": peak,
        "versions": {package: version(package) for package in ("torch", "transformers", "deepspeed")},
        "steps": [
            measure_steps(data, model, batch, device, peak, budget)
            for data in given.data
            for batch in given.batch or ([32, 512] if gpu else [8])
        ],
        "evaluation": [
            measure_evaluation(data, model, 4096 if gpu else 64, device) for data in given.data if data != "mlm"
        ],
    }
    show(report)
    path = given.json or (RESULTS / f"gpu-{re.sub(r'[^A-Za-z0-9]+', '-', name)}.json" if gpu else None)
    if path is not None:
        path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
