"""Experiments as people declare them, and data that is declared instead of read."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stilts.errors import Problems, StiltsError
from stilts.experiment.experiment import Experiment
from stilts.identity.stage import DataRef, StageSpec
from stilts.plan.expand import Expansion, expand
from stilts.tasks.base import Task


class FakeData:
    """Data of 1000 rows of 20 tokens for every task, split and language but those that are `absent` or `broken`."""

    def __init__(self) -> None:
        self.absent: set[tuple[str, str, str]] = set()
        self.broken: dict[tuple[str, str, str], str] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.texts = ("en", "sw")

    def has(self, task: Task, split: str, language: str) -> bool:
        if task.name == "mlm" and language not in self.texts:
            return False
        if split == "dev" and "dev" not in task.splits:
            return False
        return (task.name, split, language) not in self.absent

    def ref(self, task: Task, split: str, language: str) -> DataRef:
        place = (task.name, split, language)
        self.asked.append(place)
        if not self.has(task, split, language):
            raise StiltsError(f"no {split} data of {task.name} in {language}")
        if place in self.broken:
            raise StiltsError(self.broken[place])
        return DataRef(*place, f"sha256:{'-'.join(place)}", rows=1000, tokens=20_000)


Expand = Callable[..., Expansion]
"""Expands an experiment with the given fields (see the fixture `expanded`)."""

NINE = ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"]
"""The targets of XTREME."""

BEST = {"selection": "best-dev", "epochs": 2, "batch_size": 100}
"""A recipe with model selection."""

HUB = {"hub": "FacebookAI/xlm-roberta-large", "revision": "c23d21b"}


def declare(**fields: Any) -> Experiment:
    """An experiment; whatever is not given is small."""
    given = {
        "name": "test",
        "seeds": [1],
        "models": {"large": HUB},
        "intermediates": ["none"],
        "targets": ["xnli"],
        **fields,
    }
    return Experiment.model_validate_json(json.dumps(given))


def stage_of(expansion: Expansion, regime: str = "r", position: int = 0) -> StageSpec:
    """A regime's stage by its position in the chain."""
    cell = next(cell for cell in expansion.cells if cell.intermediate == regime)
    spec = expansion.graph.nodes[cell.branches[0].chain[1 + position]].spec
    assert isinstance(spec, StageSpec)
    return spec


def mistakes(expanded: Expand, **fields: Any) -> list[str]:
    """The messages of an experiment that cannot be expanded."""
    with pytest.raises(Problems) as caught:
        expanded(**fields)
    return caught.value.messages


def mistake(expanded: Expand, **fields: Any) -> str:
    """The only message of an experiment that cannot be expanded."""
    (message,) = mistakes(expanded, **fields)
    return message


@pytest.fixture
def data() -> FakeData:
    return FakeData()


@pytest.fixture
def expanded(data: FakeData) -> Callable[..., Expansion]:
    return lambda **fields: expand(declare(**fields), data)
