"""What determinism is promised for, and how ranks wait for each other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from stilts.train.features import Features, in_blocks
from stilts.train.masking import mask_tokens
from tests.train.toys import collate, free_port, load_model, make_features

RAISING = {
    "_embedding_bag",
    "_embedding_bag_backward",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d_backward",
    "adaptive_max_pool2d_backward",
    "avg_pool3d_backward",
    "ctc_loss_backward",
    "fractional_max_pool2d_backward",
    "grid_sampler_2d_backward",
    "grid_sampler_3d_backward",
    "histc",
    "kthvalue",
    "max_pool3d_with_indices_backward",
    "max_unpool2d",
    "max_unpool3d",
    "median",
    "nanmedian",
    "nll_loss2d_forward",
    "put_",
    "reflection_pad1d_backward",
    "replication_pad1d_backward",
    "resize_",
    "scatter_reduce",
    "upsample_bicubic2d_backward",
    "upsample_bilinear2d_backward",
    "upsample_linear1d_backward",
    "upsample_nearest2d_backward",
}
"""Operations that raise on a GPU, by the documentation of torch.use_deterministic_algorithms (torch 2.13)."""

FAMILIES = ("classification", "multiple_choice", "tagging", "span_qa", "mlm", "parsing", "srl", "dual_encoder")


class Recorder(TorchDispatchMode):
    """Collects the names of the operations that run, and notes sums along a dimension of floating-point numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name == "cumsum":  # of whole numbers it is exact, and does not raise
            name = "cumsum" if args[0].is_floating_point() else "cumsum of integers"
        self.names.add(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_operation_of_a_backward_pass_lacks_a_deterministic_form(base: Path, family: str) -> None:
    model = load_model(base, family)
    features = Features.of(make_features(family, 6), family)
    if family == "mlm":
        features = mask_tokens(features, 0.5, (0, 1, 2), 199, 200, (1, 2))
    if family == "dual_encoder":
        features = in_blocks(features)
    rows = [[row] for row in range(len(features))]
    loss = model(collate(features, rows, 1, torch.device("cpu"), model.packs))
    with Recorder() as seen:
        loss.backward()
    assert len(seen.names) > 5
    assert not seen.names & {*RAISING, "cumsum"}


@pytest.mark.parametrize("late", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_ranks_wait_for_a_late_one_longer_than_a_collective_may_take(late: int):
    """Each kind of operation after two seconds, with a timeout of one."""
    script, port = Path(__file__).with_name("meeting_of_two.py"), free_port()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    gang = [
        subprocess.Popen(
            [sys.executable, script, str(rank), str(port), str(late)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in gang]
    assert [process.returncode for process in gang] == [0, 0], said
    assert all("met" in text for text in said)
