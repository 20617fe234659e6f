"""StageJob: what a trial has to do, decided by the plan. Ray pickles it on its way to the trial and its ranks."""

from dataclasses import dataclass

from stilts.experiment.runtime import Runtime
from stilts.experiment.tasks import TaskFile
from stilts.identity.stage import BaseSpec, EvaluationSpec, StageSpec, Watched


@dataclass(frozen=True)
class StageJob:
    """One node of the graph with everything that its trial needs.

    Attributes:
        name: folder of the artifact in the store, `stages/NAME`, with NAME = `<slug>-<key12>`.
        spec: the stage to train, or the base model to store.
        parent: NAME of the parent's artifact; None for a base model.
        evaluations: the evaluations that are missing.
        keep_weights: whether the experiment keeps the weights (`runtime.keep`). Of a group of which the best is kept,
            one stage stands for the best.
        trained: whether the record is there and the weights can be read, so that only evaluations are missing.
        store: URI of the store.
        needed: whether other stages of the experiment start from its weights. If these are gone, it is trained again.
        wanted: whether the experiment keeps its weights, so that it is trained again where they alone are missing.
        watched: what the model is scored on at each dev evaluation during training.
        mark: identifier of the store. A node compares it with what it finds there, to make sure that it sees the same
            store as the driver; None skips the check.
        tasks: the experiment's own files of tasks, with their content: the process that does the job may be on a node
            without them.
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
    wanted: bool = False
    watched: tuple[Watched, ...] = ()
    mark: str | None = None
    tasks: tuple[TaskFile, ...] = ()

    @property
    def trained_tasks(self) -> tuple[str, ...]:
        """The tasks that the stage trains, in order; none of a base model."""
        return tuple(sorted(part.task for part in self.spec.parts)) if isinstance(self.spec, StageSpec) else ()

    @property
    def has_card(self) -> bool:
        """Whether its weights get a model card, because they may be kept."""
        return isinstance(self.spec, StageSpec) and (self.keep_weights or self.runtime.keep == "best")

    @property
    def rounds_weights(self) -> bool:
        """Whether its weights are stored in bf16: it computes in bf16, and no stage continues from it."""
        bf16 = isinstance(self.spec, StageSpec) and self.spec.recipe.precision == "bf16"
        return bf16 and self.runtime.weights == "bf16" and not self.needed
