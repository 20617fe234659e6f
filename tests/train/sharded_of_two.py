"""What each of two ranks runs for test_sharded: `python sharded_of_two.py RANK PORT BASE OUT`.

OUT receives what it found, as JSON.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import torch

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.checkpoint import ResumeStore
from stilts.train.deepspeed import prepare_deepspeed
from stilts.train.engine_choice import load_for_training
from stilts.train.loop import train
from stilts.train.model import Model
from stilts.train.ranks import Ranks, connect
from stilts.train.sharded import is_divided
from tests.train.toys import head_spec, make_features, one_part

SPECS = [head_spec("classification")]


class Killed(Exception):
    pass


class OneState(ResumeStore):
    """Kills every rank after the first resume state."""

    def save(self, *state: Any) -> None:
        super().save(*state)
        raise Killed


def recipe_of(precision: str) -> Recipe:
    fields = {"learning_rate": 3e-3, "max_steps": 4, "batch_size": 8, "max_length": 64, "weight_decay": 0.1}
    return Recipe(**fields, precision=precision, selection="last")


def memory(field: str) -> float:
    """MB of this process, by a field of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def measured(base: Path, ranks: Ranks) -> dict[str, float]:
    """The model, divided while it is loaded, and the memory that this takes at its highest."""
    Path("/proc/self/clear_refs").write_text("5")  # sets the highest to the present one
    before = memory("VmRSS")
    model = load_for_training(base, SPECS, recipe_of("fp32"), Runtime(ranks=2, zero_stage=3), ranks)
    assert all(is_divided(parameter) for parameter in model.encoder.encoder.parameters())
    return {"peak": memory("VmHWM") - before, "held": memory("VmRSS") - before}


def trained(base: Path, ranks: Ranks, load: str, precision: str = "fp32", offload: str = "none", **options: Any) -> Any:
    """Losses, and the sum of all weights at the end."""
    recipe = recipe_of(precision)
    runtime = Runtime(ranks=2, zero_stage=3, offload=offload, **options.pop("runtime", {}))
    if load == "whole":
        model = Model.load(base, SPECS, recipe.seed_of("head"))
    else:
        model = load_for_training(base, SPECS, recipe, runtime, ranks)
    part = one_part(make_features("classification", 30), "classification", recipe)
    losses = [loss for _, loss in train(model, part, recipe, runtime, ranks, **options).losses]
    return [*losses, float(sum(parameter.double().abs().sum() for parameter in model.parameters()))]


def main(rank: int, port: int, base: Path, out: Path) -> None:
    torch.set_num_threads(1)
    ranks = connect(rank, 2, "127.0.0.1", port, torch.device("cpu"))
    prepare_deepspeed("cpu")
    found: dict[str, Any] = {"memory": measured(base, ranks)}
    for precision in ("fp32", "bf16"):
        found[precision] = [trained(base, ranks, load, precision) for load in ("whole", "divided")]
    found["offload"] = [trained(base, ranks, "divided", offload=offload) for offload in ("optimizer", "all")]
    folder = out.parent / "resume"
    with contextlib.suppress(Killed):
        often = {"checkpoint_seconds": 1e-6}
        trained(base, ranks, "divided", resume=OneState(folder), runtime=often)
    found["resumed"] = trained(base, ranks, "divided", resume=ResumeStore(folder))
    ranks.barrier()
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
