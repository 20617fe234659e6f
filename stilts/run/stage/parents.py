"""Parents in memory: the models that this process trained last, from which later stages start without the store.

This saves time and changes no result. A model is used only if the parent's record in the store names the very files,
by size and digest, that were written from these weights, and if every rank of the gang still has it. Otherwise the
weights are read from the store. A model that takes more than a small share of the memory is not kept, and all are
dropped when memory runs short.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import count

import psutil
import torch

from stilts.ledger.record import read_stage
from stilts.run.stage.attempt import Attempt
from stilts.storage.protocol import Manifest
from stilts.train.model import Model

KEPT = 2
"""Number of models that a process keeps."""
SHARE = 1 / 16
"""A model is kept if it takes at most this share of its device's memory."""
FREE = 1 / 8
"""All models are dropped while less than this share of the machine's memory is free."""


@dataclass
class Parent:
    """A trained model as it was stored.

    Attributes:
        number: of the training among those of this process. All ranks of a gang run the same stages, so that equal
            numbers mean the same training.
        manifest: sizes and digests of the files in the store; known on the leader, as soon as they are there.
    """

    number: int
    model: Model
    manifest: Manifest | None = None

    def published(self, manifest: Manifest) -> None:
        self.manifest = manifest


@dataclass
class Parents:
    """The models that a process keeps, by the URI of the store and the name of the stage."""

    _kept: OrderedDict[tuple[str, str], Parent] = field(default_factory=OrderedDict)
    _numbers: "count[int]" = field(default_factory=count)

    def keep(self, attempt: Attempt, model: Model) -> Parent | None:
        """Keep a model that was just trained, with the weights that are being stored, if later stages start from it.

        Every rank must call it after every training.

        Args:
            model: in fp32. If the stage computes in bf16, a copy is kept, because the caller will round the model.
        """
        job, number = attempt.job, next(self._numbers)
        wanted = job.needed and not job.rounds_weights and job.runtime.zero_stage < 3
        if not wanted or not _fits(model) or _short_of_memory():
            return None
        rounded = job.spec.recipe.precision != "fp32"  # type: ignore[union-attr]  # only stages are trained
        parent = Parent(number, model.copied() if rounded else model)
        self._kept[attempt.store.uri, job.name] = parent
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return parent

    def find(self, attempt: Attempt, name: str) -> Model | None:
        """The model of a stage, with the weights that are in the store; None if a rank does not have it (collective).

        The model must not be changed.
        """
        if _short_of_memory():
            self.clear()
        key, ranks = (attempt.store.uri, name), attempt.ranks
        here = self._kept.get(key)
        if not any(ranks.gather(here is not None)):
            return None
        stored = None
        if ranks.leader and here is not None and here.manifest:
            record = read_stage(attempt.store, name)
            stored = here.number if record is not None and record.get("weights") == here.manifest else None
        stored = ranks.broadcast(stored)
        if not all(ranks.gather(here is not None and here.number == stored)):
            return None
        assert here is not None
        self._kept.move_to_end(key)
        return here.model

    def clear(self) -> None:
        """Drop all models."""
        self._kept.clear()


PARENTS = Parents()
"""Those of this process."""


def _fits(model: Model) -> bool:
    size = sum(parameter.nbytes for parameter in model.parameters())
    device = next(model.parameters()).device
    gpu = device.type == "cuda"
    memory = torch.cuda.get_device_properties(device).total_memory if gpu else psutil.virtual_memory().total
    return size <= SHARE * memory


def _short_of_memory() -> bool:
    memory = psutil.virtual_memory()
    return memory.available < FREE * memory.total
