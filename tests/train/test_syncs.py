"""A step waits for the device once: when it reads the loss of the step before."""

from collections import Counter
from unittest.mock import patch

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train import loop
from stilts.train.loop import train
from tests.train.toys import load_model, make_base, make_features, one_part

FAMILIES = ["classification", "multiple_choice", "tagging", "span_qa", "mlm", "dual_encoder", "srl", "parsing"]
STEPS = 6
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "repeat_interleave", "unique", "_unique2", "bincount")
"""Operations whose result, or the shape of it, the host has to read from the device."""


class Waits(TorchDispatchMode):
    """Counts what would make the host wait for a GPU: operations, and reads of a tensor's content."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()
        self._patches = [patch.object(torch.Tensor, name, self._reader(name)) for name in ("tolist", "cpu")]

    def _reader(self, name):
        real = getattr(torch.Tensor, name)

        def read(tensor, *args):
            self.seen[name] += 1
            return real(tensor, *args)

        return read

    def __enter__(self):
        for one in self._patches:
            one.start()
        return super().__enter__()

    def __exit__(self, *error):
        for one in self._patches:
            one.stop()
        return super().__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITING:
            self.seen[name] += 1
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            self.seen["boolean index"] += sum(i is not None and i.dtype == torch.bool for i in args[1])
        return func(*args, **(kwargs or {}))


def waits_of(model, parts, recipe, runtime, ranks) -> Counter:
    """What the steps wait for, without those of the beginning and the end of a training."""
    waits, step = Waits(), loop._Run._step

    def counted(self, number):
        if number in (0, self.steps - 1):  # the first has no loss to read, the last reads its own
            return step(self, number)
        with waits:
            return step(self, number)

    with patch.object(loop._Run, "_step", counted):
        train(model, parts, recipe, runtime, ranks)
    return +waits.seen


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_reads_one_number(base, ranks, family, precision):
    recipe = Recipe(learning_rate=1e-3, max_steps=STEPS, batch_size=8, max_length=32, precision=precision)
    runtime = Runtime(tokens_per_micro_batch=128)
    recipe = recipe.model_copy(update={"selection": "last"})
    seen = waits_of(load_model(base, family), one_part(make_features(family), family, recipe), recipe, runtime, ranks)
    assert seen == {"tolist": STEPS - 2}


@pytest.mark.parametrize("kind", ["deberta-v2", "xlnet"])
def test_nor_does_one_of_an_encoder_that_cannot_be_packed(text_file, tmp_path, ranks, kind):
    sizes = {"xlnet": {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64}}.get(kind, {})
    base = make_base(tmp_path, text_file, plain=kind in sizes, model_type=kind, **sizes)
    recipe = Recipe(learning_rate=1e-3, max_steps=STEPS, batch_size=8, max_length=32, selection="last")
    parts = one_part(make_features("classification"), "classification", recipe)
    seen = waits_of(load_model(base, "classification"), parts, recipe, Runtime(), ranks)
    assert seen == {"tolist": STEPS - 2}


def test_the_count_sees_what_it_is_for():
    """The observer itself: each kind of waiting is noticed."""
    waits, numbers = Waits(), torch.arange(4.0)
    with waits:
        numbers[numbers > 1].sum().item()
        numbers.tolist()
        torch.nonzero(numbers)
    assert waits.seen["boolean index"] == 1
    assert waits.seen["_local_scalar_dense"] == 1
    assert waits.seen["tolist"] == 1
    assert waits.seen["nonzero"] == 1
