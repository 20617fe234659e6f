"""A stage whose processes are killed ends with the weights of one that was left in peace."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.checkpoints import make_checkpoint
from tests.train.gangs import Stage, train_until_saved, train_whole, train_with_kills


def difference(one: dict[str, Any], two: dict[str, Any]) -> float:
    """Largest mean difference of a weight tensor."""
    pairs = ((one["weights"][name].float(), two["weights"][name].float()) for name in one["weights"])
    return max((a - b).abs().mean().item() for a, b in pairs)


def assert_the_same(whole: dict[str, Any], again: dict[str, Any]) -> None:
    assert {name: again[name] for name in ("losses", "dev", "best_step", "tokens")} == {
        name: whole[name] for name in ("losses", "dev", "best_step", "tokens")
    }
    assert all(torch.equal(whole["weights"][name], again["weights"][name]) for name in whole["weights"])


def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    return tmp_path / "whole", tmp_path / "killed"


def test_two_ranks_and_a_mixture_are_killed_and_go_on_bitwise(dropping_base: Path, tmp_path: Path) -> None:
    stage = Stage(dropping_base, ("classification", "mlm", "tagging"), ranks=2, zero_stage=2, precision="bf16")
    whole, killed = folders(tmp_path)
    assert_the_same(train_whole(stage, whole), train_with_kills(stage, killed, 2, random.Random(1)))


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    ("kind", "families", "zero_stage", "precision"),
    [
        ("xlm-roberta", ("mlm", "srl"), 0, "fp32"),
        ("xlm-roberta", ("classification", "mlm", "span_qa"), 1, "fp32"),
        ("bert", ("multiple_choice",), 1, "bf16"),
        ("deberta-v2", ("tagging",), 2, "fp32"),
        ("xlnet", ("span_qa",), 3, "fp32"),
        ("rembert", ("parsing",), 3, "bf16"),
    ],
)
def test_every_kind_of_stage_is_killed_and_goes_on_bitwise(
    tmp_path: Path, text_file: Path, ranks: int, kind: str, families: tuple[str, ...], zero_stage: int, precision: str
) -> None:
    base = make_checkpoint(kind, tmp_path / "base", text_file)
    stage = Stage(base, families, ranks, zero_stage, precision)
    whole, killed = folders(tmp_path)
    assert_the_same(train_whole(stage, whole), train_with_kills(stage, killed, 3, random.Random(f"{kind} {ranks}")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"), [((1, 1), (2, 1)), ((2, 1), (1, 1)), ((2, 3), (1, 0)), ((1, 2), (2, 3)), ((2, 0), (2, 2))]
)
def test_other_ranks_and_zero_stages_go_on_within_rounding(
    base: Path, tmp_path: Path, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Without dropout, which each rank draws for itself: the tolerance that checkpoint.py states."""
    whole, resumed = folders(tmp_path)
    families = ("classification", "mlm")
    expected = train_whole(Stage(base, families, *before), whole)
    train_until_saved(Stage(base, families, *before), resumed)
    found = train_whole(Stage(base, families, *after), resumed)
    losses = [loss for _, loss in expected["losses"]]
    assert [loss for _, loss in found["losses"]] == pytest.approx(losses, rel=1e-5)
    assert found["best_step"] == expected["best_step"]
    assert difference(expected, found) < 1e-5
