"""StageJob: what a trial is told to do. Plain JSON, so that it travels through Tune and lands in records."""

from dataclasses import dataclass
from typing import Any

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec, Condition, DataRef, EvaluationSpec, Mixing, Part, StageSpec, Watched


@dataclass(frozen=True)
class StageJob:
    """One node of the graph with all that its trial needs, decided by the plan.

    Attributes:
        name: the artifact's directory in the store, `stages/NAME`, NAME = `<slug>-<key12>`.
        spec: the stage to train, or the base model to materialise.
        parent: NAME of the parent's artifact; None for a base.
        evaluations: those still missing.
        watched: what it is scored on at every dev evaluation of its training.
        keep_weights: whether the weights stay in the store.
        trained: the record is there and the weights can be read: only the evaluations are missing.
        store: URI.
        mark: of the store, by which a node tells that it sees the same one; None: it is not looked for.
        needed: whether other stages of the experiment start from the weights: where those are gone, it trains again.
    """

    name: str
    spec: StageSpec | BaseSpec
    parent: str | None
    evaluations: tuple[EvaluationSpec, ...]
    keep_weights: bool
    trained: bool
    store: str
    runtime: Runtime
    needed: bool = False
    watched: tuple[Watched, ...] = ()
    mark: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; `from_json` inverts it."""
        return {
            "name": self.name,
            "base": _base_to_json(self.spec) if isinstance(self.spec, BaseSpec) else None,
            "stage": _stage_to_json(self.spec) if isinstance(self.spec, StageSpec) else None,
            "parent": self.parent,
            "evaluations": [_evaluation_to_json(e) for e in self.evaluations],
            "watched": [[_evaluation_to_json(what.evaluation), what.examples] for what in self.watched],
            "keep_weights": self.keep_weights,
            "trained": self.trained,
            "store": self.store,
            "runtime": self.runtime.model_dump(),
            "needed": self.needed,
            "mark": self.mark,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "StageJob":
        spec = _base_from_json(data["base"]) if data["stage"] is None else _stage_from_json(data["stage"])
        return cls(
            name=data["name"],
            spec=spec,
            parent=data["parent"],
            evaluations=tuple(_evaluation_from_json(e) for e in data["evaluations"]),
            watched=tuple(Watched(_evaluation_from_json(e), examples) for e, examples in data["watched"]),
            keep_weights=data["keep_weights"],
            trained=data["trained"],
            store=data["store"],
            runtime=Runtime.model_validate(data["runtime"], strict=False),
            needed=data["needed"],
            mark=data["mark"],
        )


def _base_to_json(spec: BaseSpec) -> dict[str, Any]:
    text = [vars(ref) for ref in spec.text]
    return {"identity": spec.identity, "source": spec.source, "text": text, "shape": spec.shape}


def _base_from_json(data: dict[str, Any]) -> BaseSpec:
    return BaseSpec(data["identity"], data["source"], tuple(DataRef(**ref) for ref in data["text"]), data["shape"])


def _stage_to_json(spec: StageSpec) -> dict[str, Any]:
    return {
        "parent": spec.parent,
        "parts": [_part_to_json(part) for part in spec.parts],
        "mixing": None if spec.mixing is None else vars(spec.mixing),
        "recipe": spec.recipe.model_dump(),
    }


def _stage_from_json(data: dict[str, Any]) -> StageSpec:
    return StageSpec(
        parent=data["parent"],
        parts=tuple(_part_from_json(part) for part in data["parts"]),
        mixing=None if data["mixing"] is None else Mixing(**data["mixing"]),
        recipe=Recipe(**data["recipe"]),
    )


def _part_to_json(part: Part) -> dict[str, Any]:
    return {
        "task": part.task,
        "task_version": part.task_version,
        "train": [vars(ref) for ref in part.train],
        "dev": _ref_to_json(part.dev),
        "recipe": part.recipe.model_dump(),
    }


def _part_from_json(data: dict[str, Any]) -> Part:
    return Part(
        task=data["task"],
        task_version=data["task_version"],
        train=tuple(DataRef(**ref) for ref in data["train"]),
        dev=_ref_from_json(data["dev"]),
        recipe=Recipe(**data["recipe"]),
    )


def _evaluation_to_json(spec: EvaluationSpec) -> dict[str, Any]:
    return {
        "task": spec.task,
        "task_version": spec.task_version,
        "split": spec.split,
        "language": spec.language,
        "data": vars(spec.data),
        "tune": _ref_to_json(spec.tune),
        "pool": _ref_to_json(spec.pool),
        "settings": spec.settings,
        "condition": None if spec.condition is None else vars(spec.condition),
    }


def _evaluation_from_json(data: dict[str, Any]) -> EvaluationSpec:
    condition = data["condition"]
    return EvaluationSpec(
        **{
            **data,
            "data": DataRef(**data["data"]),
            "tune": _ref_from_json(data["tune"]),
            "pool": _ref_from_json(data["pool"]),
            "condition": None if condition is None else Condition(**condition),
        }
    )


def _ref_to_json(ref: DataRef | None) -> dict[str, Any] | None:
    return None if ref is None else vars(ref)


def _ref_from_json(data: dict[str, Any] | None) -> DataRef | None:
    return None if data is None else DataRef(**data)
