"""How much text of each language the base models were pretrained on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from stilts.encoders.configs import config_of
from stilts.experiment.models import ModelDecl
from stilts.identity.stage import BaseSpec, StageSpec
from stilts.plan.expand import Expansion
from stilts.plan.training import MLM

OWN = "sentences of the experiment's masked language modelling before every regime"

_PUBLISHED = Path(__file__).with_name("pretraining.yaml")


@dataclass(frozen=True)
class Pretraining:
    """The pretraining of one model of an experiment.

    Attributes:
        family: the architecture, as transformers names it (`xlm-roberta`); None if it is not known offline.
        sizes: size of the pretraining data by language; languages of unknown size are absent.
        source: unit and source of the sizes; None if there are no sizes.
    """

    family: str | None
    sizes: Mapping[str, float] = field(default_factory=dict)
    source: str | None = None


def pretrainings(expansion: Expansion) -> dict[str, Pretraining]:
    """The pretraining of every model of an experiment, by the model's name.

    For a published checkpoint the sizes are those that its authors published. Stages of further pretraining in the
    experiment are not added, because their unit is another one. For a model initialised at random the sizes are the
    sentences of the masked language modelling stages that the experiment puts before all regimes (`pretrain:`).
    """
    chains = {cell.model: cell.branches[0].chain for cell in expansion.cells}
    found = {}
    for model, decl in expansion.experiment.models.items():
        if model not in chains:
            continue
        nodes = [expansion.graph.nodes[key] for key in chains[model][: 1 + len(decl.pretrain)]]
        base = nodes[0].spec
        assert isinstance(base, BaseSpec)
        config = config_of(base)
        family = (config or {}).get("model_type") or None
        stages = [node.spec for node in nodes[1:] if isinstance(node.spec, StageSpec)]
        found[model] = Pretraining(family, *(_own(stages) if decl.init is not None else _of_checkpoint(decl)))
    return found


def _own(stages: list[StageSpec]) -> tuple[dict[str, float], str | None]:
    sizes: dict[str, float] = {}
    for part in (part for stage in stages for part in stage.parts if part.task == MLM):
        limit = part.recipe.max_examples
        for ref in part.train:
            if ref.rows is not None:
                sizes[ref.language] = sizes.get(ref.language, 0) + min(ref.rows, limit or ref.rows)
    return sizes, OWN if sizes else None


def _of_checkpoint(decl: ModelDecl) -> tuple[Mapping[str, float], str | None]:
    published = _published()
    name = published["models"].get((decl.hub or "").rpartition("/")[2].lower())
    if name is None:
        return {}, None
    corpus = published["corpora"][name]
    return corpus["sizes"], f"{corpus['unit']} ({corpus['source']})"


@cache
def _published() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(_PUBLISHED.read_text())
    return content
