"""Compares the speed of training steps with transformers' Trainer and with a plain PyTorch loop, in one run.

    python benchmarks/step.py [--models 74m] [--data xnli pos qa mlm] [--batch 32 512] [--threads 1 2] [--rounds 5]
                              [--model PATH] [--json results.json]

The contenders (`step_contenders.py`) are `stilts`, `packed` (a plain loop with the same packed rows, made beforehand),
`default` (Trainer, padding to the longest sequence of a batch), `maximum` (Trainer, padding to the maximum length, as
in XTREME's scripts), and, for the data whose heads can read several sequences of a row, `flattening` (Trainer with its
padding-free collator). Each is a process of its own. While one of them trains, the others wait. stilts takes turns with
one other contender at a time, so that what else the machine does meets both, and the ratios are medians over the
rounds. In the rounds of `packed`, products of large matrices are timed as well: the share of the machine's peak is the
arithmetic of the real tokens, in forward and backward pass, by the operations that these products reach.

Tokens per second count real tokens, not padding. Figures by CPU seconds, of all threads of a process, say more where
other programs use the same cores. A process is kept to as many cores as it has threads. Memory is the most that a
process has held.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from step_contenders import FLATTENED, Case, arguments_of
from workload import DATA, MODELS, examples, flops_per_token

AIMS = {
    "maximum": {"xnli": 3.0, "pos": 4.5, "qa": 2.6},
    "default": {"xnli": 1.5, "pos": 2.5, "qa": 1.8},
    "packed": dict.fromkeys(DATA, 0.95),
}
"""Least ratios of stilts' tokens per second to those of others."""
AIM_MEMORY = 1.2
"""Largest ratio of stilts' memory to that of the plain loop."""
AIM_SHARE = 0.6
"""Least share of the peak, with the model `74m` or a checkpoint."""
WARM_UP = 2
"""Steps of every process before the first round."""

Answer = dict[str, float]


class Contender:
    """A process that trains when it is told to."""

    def __init__(self, name: str, case: Case) -> None:
        self.name = name
        environment = {**os.environ, "OMP_NUM_THREADS": str(case.threads), "TOKENIZERS_PARALLELISM": "false"}
        cores = sorted(os.sched_getaffinity(0))[-case.threads :]
        command = ["taskset", "-c", ",".join(map(str, cores)), *arguments_of(name, case)]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._answer()

    def train(self, steps: int) -> Answer:
        """Train some steps; return how long they took and what they trained on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Answer:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} failed:\n{self._process.stderr.read()[-3000:]}")
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        self._process.communicate()


def measure(case: Case, rivals: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Tokens per second, memory and ratios of stilts and of its rivals."""
    ours = Contender("stilts", case)
    found: dict[str, dict[str, Any]] = {}
    mine: list[Answer] = []
    peak: list[Answer] = []
    steps = _steps_of(ours, seconds)
    for name in rivals:
        rival, gemm = Contender(name, case), Contender("gemm", case) if name == "packed" else None
        count = _steps_of(rival, seconds)
        theirs = []
        for _ in range(rounds):
            mine.append(ours.train(steps))
            theirs.append(rival.train(count))
            if gemm is not None:
                peak.append(gemm.train(1))
        found[name] = _figures(theirs)
        for kind in ("", "cpu_"):
            ratios = [_rate(a, kind) / _rate(b, kind) for a, b in zip(mine[-rounds:], theirs, strict=True)]
            found[name][f"{kind}ratio"] = median(ratios)
            found[name][f"{kind}ratios"] = [round(value, 3) for value in ratios]
        for process in filter(None, (rival, gemm)):
            process.close()
    ours.close()
    stilts = _figures(mine)
    for figures in found.values():
        figures["memory_ratio"] = stilts["peak_bytes"] / figures["peak_bytes"]
    if peak:
        flops = _flops(case)
        for kind in ("", "cpu_"):
            shares = [flops * _rate(a, kind) / _rate(b, kind) for a, b in zip(mine, peak, strict=False)]
            stilts[f"{kind}share_of_peak"] = median(shares)
    return {"stilts": stilts, **found}


def _figures(answers: list[Answer]) -> dict[str, Any]:
    return {
        "tokens_per_second": median(_rate(answer) for answer in answers),
        "tokens_per_cpu_second": median(_rate(answer, "cpu_") for answer in answers),
        "peak_bytes": max(answer["peak_bytes"] for answer in answers),
    }


def _steps_of(contender: Contender, seconds: float) -> int:
    """How many steps take about this many seconds, after some warm-up steps."""
    contender.train(WARM_UP)
    return max(1, round(seconds / contender.train(1)["seconds"]))


def _rate(answer: Answer, kind: str = "") -> float:
    return answer["tokens"] / answer[f"{kind}seconds"]


def _flops(case: Case) -> float:
    rows = examples(DATA[case.data], 4096, 8000)
    return flops_per_token(case.model, DATA[case.data], np.array([len(row["input_ids"]) for row in rows]))


def lines(case: Case, figures: dict[str, Any]) -> list[str]:
    """The rows of the table for one measurement."""
    found = []
    for name, mine in figures.items():
        aim = AIMS.get(name, {}).get(case.data)
        cells = [
            Path(case.model).name,
            case.data,
            str(case.batch),
            str(case.threads),
            name,
            f"{mine['tokens_per_second']:,.0f}",
            _number(mine.get("ratio"), ".2f") + ("" if aim is None else f" (aim {aim:g})"),
            f"{mine['tokens_per_cpu_second']:,.0f}",
            _number(mine.get("cpu_ratio"), ".2f"),
            f"{mine['peak_bytes'] / 1e9:.2f}",
            _number(mine.get("memory_ratio"), ".2f"),
            _number(mine.get("share_of_peak"), ".0%"),
            _number(mine.get("cpu_share_of_peak"), ".0%"),
        ]
        found.append(f"| {' | '.join(cells)} |")
    return found


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


COLUMNS = (
    "model", "data", "batch", "threads", "contender", "tokens/s", "ratio", "tokens/CPU s", "ratio", "GB", "ratio",
    "of peak", "of peak, CPU s",
)  # fmt: skip
"""Ratios are those of stilts to the contender of the row."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["tiny", "74m", "large-slice"])
    parser.add_argument("--model", type=Path, help="folder of a checkpoint that takes the place of 74m")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--batch", nargs="+", type=int, default=[32, 512])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--contenders", nargs="+", default=["packed", "default", "maximum", "flattening"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one turn of a contender, at least one step")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    given = parser.parse_args()
    results = []
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for model in given.models:
        path = str(given.model) if given.model is not None and model == "74m" else model
        for data in given.data:
            rivals = [name for name in given.contenders if name != "flattening" or DATA[data].family in FLATTENED]
            for batch in given.batch:
                for threads in given.threads:
                    case = Case(data, path, batch, threads)
                    figures = measure(case, rivals, given.rounds, given.seconds)
                    print("\n".join(lines(case, figures)), flush=True)
                    results.append({"data": data, "model": model, "batch": batch, "threads": threads, **figures})
    if given.json:
        versions = {package: version(package) for package in ("torch", "transformers", "accelerate")}
        machine = {"processor": _processor(), "cores": os.cpu_count(), "time": time.strftime("%Y-%m-%d")}
        settings = {"rounds": given.rounds, "seconds": given.seconds}
        given.json.write_text(
            json.dumps({"machine": machine, "versions": versions, **settings, "results": results}, indent=1) + "\n"
        )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    main()
