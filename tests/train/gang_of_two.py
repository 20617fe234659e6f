"""What each of two ranks runs for test_gang: `python gang_of_two.py RANK PORT BASE DROPPING_BASE OUT`.

OUT receives what it found, as JSON.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from stilts.evaluate.predict import forward, vectors
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import Mixing
from stilts.train import features
from stilts.train import ranks as ranks_module
from stilts.train.checkpoint import ResumeStore
from stilts.train.loop import Diverged, train
from stilts.train.model import Model
from stilts.train.ranks import Ranks, connect
from tests.train.toys import head_spec, load_model, make_features, one_part

FIELDS = {"learning_rate": 3e-3, "max_steps": 5, "batch_size": 8, "max_length": 64, "precision": "fp32"}
STAGES = (0, 1, 2, 3)
MIXED = ("classification", "mlm", "tagging")
ALIKE = {
    "classification": STAGES,
    "mixture": STAGES,
    "multiple_choice": (1,),
    "mlm": (1, 3),
    "parsing": (1, 3),
    "srl": (1, 3),
    "dual_encoder": (1, 3),
}
SMALL = (1, 2)
BITWISE = (1, 3)


class Killed(Exception):
    pass


class OneState(ResumeStore):
    """Kills every rank after the first resume state."""

    def save(self, *state: Any) -> None:
        super().save(*state)
        raise Killed


def losses(
    base: Path,
    ranks: Ranks,
    family: str,
    stage: int,
    folder: Path | None = None,
    stop: bool = False,
    budget: int = 8192,
) -> tuple[list[float], Model]:
    """Five steps on 30 items, whose last step of an epoch has six; stops at the first resume state if asked."""

    recipe = Recipe(**FIELDS, weight_decay=0.1, selection="last")
    runtime = Runtime(zero_stage=stage, checkpoint_seconds=1e-6 if stop else 600, tokens_per_micro_batch=budget)
    store = None if folder is None else (OneState if stop else ResumeStore)(folder)
    families = MIXED if family == "mixture" else (family,)
    model = Model.load(base, [head_spec(name) for name in families])
    parts = [part for name in families for part in one_part(make_features(name, 30), name, recipe)]
    mixing = Mixing("uniform") if len(parts) > 1 else None
    with patch.object(features, "BLOCK", 3):  # a step of eight pairs makes three blocks
        result = train(model, parts, recipe, runtime, ranks, mixing=mixing, resume=store)
    return [loss for _, loss in result.losses], model


def scarce(base: Path, ranks: Ranks, stage: int, least: int) -> list[float]:
    """As `losses` of tagging, where rank 1 has memory for one large micro-batch only; the others have none left."""
    forward, passed = Model.forward, [0]

    def limited(self: Model, batch: Any, *args: Any) -> torch.Tensor:
        if ranks.rank == 1 and batch.input_ids.numel() > least:
            passed[0] += 1
            if passed[0] > 1:
                raise torch.OutOfMemoryError("out of memory")
        return forward(self, batch, *args)

    with patch.object(Model, "forward", limited):
        found, _ = losses(base, ranks, "tagging", stage, budget=128)
    assert passed[0] > 1 or ranks.rank == 0
    return found


def main(rank: int, port: int, base: Path, dropping: Path, out: Path) -> None:
    torch.set_num_threads(1)
    ranks = connect(rank, 2, "127.0.0.1", port, torch.device("cpu"))
    found: dict = {"broadcast": ranks.broadcast(rank), "gather": ranks.gather(rank), "sum": ranks.sum(rank + 1.0)}
    found["one node"] = ranks.gather(ranks.on_each_node(lambda: rank))
    with patch.object(ranks_module, "_node", lambda: (str(rank), "", "")):
        found["two nodes"] = ranks.gather(ranks.on_each_node(lambda: rank))
    for family, stages in ALIKE.items():
        found[family] = {stage: losses(base, ranks, family, stage)[0] for stage in stages}
    for family in ("tagging", "mixture"):
        found[f"small-{family}"] = {stage: losses(base, ranks, family, stage, budget=128)[0] for stage in SMALL}
    found["any"] = [ranks.any(rank == 1), ranks.any(False)]
    found["scarce"] = {stage: scarce(base, ranks, stage, 64) for stage in (0, 1)}
    found["resumed"] = {
        stage: losses(base, ranks, "mixture", stage, out.parent / f"stage{stage}")[0] for stage in STAGES
    }
    for stage in BITWISE:
        whole, _ = losses(dropping, ranks, "classification", stage)
        folder = out.parent / f"again{stage}"
        with contextlib.suppress(Killed):
            losses(dropping, ranks, "classification", stage, folder, stop=True)
        again, _ = losses(dropping, ranks, "classification", stage, folder)
        found[f"bitwise{stage}"] = [whole, again]
    model = load_model(base, "classification", 2, seed=0)
    found["outputs"] = [row.tolist() for row in forward(model, make_features("classification", 7), {}, ranks)]
    table, settings = make_features("retrieval", 7), {"layer": 1, "layers": 2}
    found["vectors"] = vectors(model, table, settings, ranks, family="retrieval", tokens_per_batch=70).tolist()
    found["one vector"] = vectors(model, table.slice(0, 1), settings, ranks, family="retrieval").tolist()
    with torch.no_grad():
        model.heads["classification"].output.bias.fill_(float("nan"))
    try:
        parts = one_part(make_features("classification"), "classification", Recipe(**FIELDS))
        train(model, parts, Recipe(**FIELDS), Runtime(), ranks)
    except Diverged as error:
        found["diverged"] = str(error)
    ranks.barrier()
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *map(Path, sys.argv[3:]))
