"""Gangs of processes that train a small stage and can be killed at any moment, for test_kills.

A server process imports everything once and forks the ranks, so that a gang starts in a second.
"""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.train.toys import free_port, head_spec, make_features, one_part

SECONDS = 240.0
STEPS = 12
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["deepspeed", "transformers", "stilts.train.loop", "tests.train.gangs"])


@dataclass(frozen=True)
class Stage:
    """What is trained. STEPS steps with everything that has a state: warm-up, decay, moments, best weights of three
    dev evaluations, dropout, order of data, masking."""

    base: Path
    families: tuple[str, ...]
    ranks: int
    zero_stage: int = 1
    precision: str = "fp32"
    recipe: dict[str, Any] = field(default_factory=dict)


def train_whole(stage: Stage, out: Path) -> dict[str, Any]:
    """Undisturbed: the weights at the end, by name, and the curves."""
    return _end(_start(stage, out, save_often=False), out)


def train_with_kills(stage: Stage, out: Path, kills: int, chance: random.Random) -> dict[str, Any]:
    """The same, with SIGKILL to every rank at random moments after the first resume state of each attempt."""
    for _ in range(kills):
        before = _written(out)
        gang = _start(stage, out, save_often=True)
        try:
            _wait_for(lambda before=before: _written(out) != before or _step(out) == STEPS - 1, gang)
            time.sleep(chance.uniform(0, 0.15))
        finally:
            for process in gang:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid or 0, signal.SIGKILL)
            for process in gang:
                process.join()
    return _end(_start(stage, out, save_often=False), out)


def train_until_saved(stage: Stage, out: Path) -> None:
    """Up to some resume state in the middle."""
    gang = _start(stage, out, save_often=True)
    _wait_for(lambda: _step(out) >= 4, gang)
    for process in gang:
        process.kill()
        process.join()


def _start(stage: Stage, out: Path, *, save_often: bool) -> list[BaseProcess]:
    port = free_port()
    gang = [
        _CONTEXT.Process(target=_rank, args=(stage, rank, port, out, save_often), daemon=True)
        for rank in range(stage.ranks)
    ]
    for process in gang:
        process.start()
    return gang


def _end(gang: list[BaseProcess], out: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    for process in gang:
        process.join(SECONDS)
    assert [process.exitcode for process in gang] == [0] * len(gang)
    return {"weights": load_file(out / "weights.safetensors"), **json.loads((out / "done.json").read_text())}


def _wait_for(condition: Any, gang: list[BaseProcess]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        assert all(process.is_alive() for process in gang), "a rank ended before there was anything to resume"
        time.sleep(0.002)


def _written(out: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return (out / "resume" / "manifest.json").stat().st_ino
    return 0


def _step(out: Path) -> int:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(json.loads((out / "resume" / "state.json").read_text())["step"])
    return 0


def _rank(stage: Stage, rank: int, port: int, out: Path, save_often: bool) -> None:
    import torch
    from safetensors.torch import save_file

    from stilts.evaluate.predict import forward
    from stilts.experiment.recipe import Recipe
    from stilts.experiment.runtime import Runtime
    from stilts.identity.stage import Mixing
    from stilts.train.checkpoint import ResumeStore
    from stilts.train.loop import train
    from stilts.train.model import Model
    from stilts.train.ranks import connect

    torch.set_num_threads(1)
    ranks = connect(rank, stage.ranks, "127.0.0.1", port, torch.device("cpu"))
    settings = {"learning_rate": 3e-3, "max_steps": STEPS, "batch_size": 8, "max_length": 64, "evaluate_every": 4}
    settings |= {"weight_decay": 0.1, "warmup": 3, "precision": stage.precision, "selection": "best-dev"}
    recipe = Recipe(**{**settings, **stage.recipe})
    model = Model.load(stage.base, [head_spec(family) for family in stage.families], seed=0)
    parts = [part for name in stage.families for part in one_part(make_features(name, 30), name, recipe)]
    scored = next(family for family in stage.families if family != "mlm")
    seen = make_features(scored, 5)

    def dev_score() -> dict[str, float]:
        return {scored: float(sum(abs(row).sum() for row in forward(model, seen, {}, ranks, head=scored)))}

    result = train(
        model,
        parts,
        recipe,
        Runtime(zero_stage=stage.zero_stage, checkpoint_seconds=1e-6 if save_often else 600),
        ranks,
        mixing=Mixing("uniform") if len(parts) > 1 else None,
        dev_score=dev_score,
        resume=ResumeStore(out / "resume"),
    )
    if save_often:
        signal.pause()  # it is killed, however late
    if ranks.leader:
        save_file(
            {name: value.detach().clone() for name, value in model.named_parameters()}, out / "weights.safetensors"
        )
        found = {"losses": result.losses, "dev": result.dev, "best_step": result.best_step, "tokens": result.tokens}
        (out / "done.json").write_text(json.dumps(found))
    ranks.barrier()
