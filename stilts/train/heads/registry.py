"""The registry of heads. Every module of this folder is imported on first use, so that a new head is one file."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import nn

from stilts.discovery import import_modules, tracked
from stilts.errors import StiltsError
from stilts.identity.canonical import digest
from stilts.tasks.base import Task, check_heads
from stilts.train.heads.base import FamilyHead, HeadSpec, first_of

_HEADS: dict[str, FamilyHead] = tracked({})


def register(head: FamilyHead) -> FamilyHead:
    """Add the torch side of a family to the registry.

    Raises:
        StiltsError: the family has one.
    """
    if head.family in _HEADS:
        raise StiltsError(f"the family {head.family!r} has two heads in train/heads; keep one")
    _HEADS[head.family] = head
    return head


def head_of(family: str) -> FamilyHead:
    """Return the torch side of a family.

    Raises:
        StiltsError: it has none.
    """
    _load()
    if family not in _HEADS:
        raise StiltsError(f"the family {family!r} has no head; add a file to train/heads that registers one")
    return _HEADS[family]


def heads_of(tasks: Sequence[Task]) -> list[HeadSpec]:
    """Return the heads that tasks train together, one for all tasks of one `head_name`.

    Raises:
        StiltsError: tasks would share a head, but not its family or labels.
    """
    check_heads(tasks)
    return list(dict.fromkeys(HeadSpec.of(task) for task in tasks))


def make_head(spec: HeadSpec, config: Any, embedding: int, seed: int) -> nn.Module | None:
    """Return a new head, which depends on the arguments alone, or None if the family has none (retrieval).

    Args:
        config: the encoder's configuration.
        embedding: width of the input embeddings, to which masked language heads are tied.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(digest([seed, spec.name])[:15], 16))
        head = head_of(spec.family).module(spec, config, embedding)
        spread = first_of(config, ("initializer_range", "init_std"), 0.02)
        for module in () if head is None else head.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=spread)
                nn.init.zeros_(module.bias)
    return head


@cache
def _load() -> None:
    import_modules("stilts.train.heads")
