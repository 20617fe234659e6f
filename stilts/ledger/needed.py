"""Needed: what all stored declarations together need now. Garbage collection and `settle` decide by this alone.

The weights of a stage are needed if a declaration keeps them; if evaluations of the stage are missing in a declaration;
if other stages of an unfinished declaration start from them; or if the stage is the best of a group of which the best
is kept (`runtime.keep: best`). A declaration is unfinished while one of its stages is not trained or lacks an
evaluation, or while it is open, as that of a search whose trials are not over.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from stilts.ledger.needs import Needs, StageNeeds
from stilts.plan.keep import kept_of
from stilts.plan.todo import Artifact, Inventory


class Needed:
    """The union of several lists of needs, compared with the artifacts of the store.

    Args:
        needs: the lists of all declarations of the store.
        look: returns the artifacts with the given short keys. It is called once per key, and only where the answer
            depends on what the store holds.
    """

    def __init__(self, needs: Sequence[Needs], look: Callable[[set[str]], Inventory]) -> None:
        self._look = look
        self._looking = threading.Lock()
        self._seen: set[str] = set()
        self._artifacts: dict[str, Artifact] = {}
        self._unfinished: dict[int, bool] = {}
        self._of_stage: dict[str, list[tuple[Needs, StageNeeds]]] = defaultdict(list)
        self._groups: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for one in needs:
            for short, stage in one.stages.items():
                self._of_stage[short].append((one, stage))
            for group in one.best:
                for short in group:
                    self._groups[short].append(group)

    def __contains__(self, short: str) -> bool:
        """Whether any declaration names the stage."""
        return short in self._of_stage

    def look(self, keys: Collection[str]) -> Inventory:
        """The artifacts with these keys, as far as there are any."""
        with self._looking:
            fresh = set(keys) - self._seen
            if fresh:
                self._artifacts |= self._look(fresh)
                self._seen |= fresh
        return self._artifacts

    def evaluations(self, short: str) -> set[str]:
        """Paths of the evaluations of a stage that any declaration names."""
        return {path for _, stage in self._of_stage.get(short, ()) for path in stage.evaluations}

    def weights(self, short: str) -> bool:
        """Whether the weights of a stage are needed now."""
        found = self._of_stage.get(short, ())
        return (
            any(stage.keeps for _, stage in found)
            or any(self._lacks(short, stage) for _, stage in found)
            or any(short in kept_of(group, self.look(group)) for group in self._groups.get(short, ()))
            or any(stage.feeds and self._is_unfinished(needs) for needs, stage in found)
        )

    def tasks_to_train(self) -> set[str]:
        """Tasks of the stages that have yet to be trained, or again because their weights are needed and gone."""
        self.look(self._of_stage.keys())
        return {
            task
            for short, found in self._of_stage.items()
            if self.trains(short)
            for _, stage in found
            for task in stage.tasks
        }

    def tasks_to_evaluate(self) -> set[str]:
        """Tasks of the evaluations that are missing."""
        self.look(self._of_stage.keys())
        return {
            path.split("/")[1]
            for short, found in self._of_stage.items()
            for _, stage in found
            if self._lacks(short, stage)
            for path in set(stage.evaluations).difference(self._evaluated(short))
        }

    def _evaluated(self, short: str) -> Collection[str]:
        artifact = self.look({short}).get(short)
        return () if artifact is None else artifact.evaluations

    def trains(self, short: str) -> bool:
        """Whether a named stage has yet to be trained, or again because its weights are needed and gone."""
        artifact = self.look({short}).get(short)
        return artifact is None or not artifact.trained or (not artifact.weights and self.weights(short))

    def _is_unfinished(self, needs: Needs) -> bool:
        known = self._unfinished.get(id(needs))
        if known is None:
            self.look(needs.stages.keys())
            known = needs.open or any(self._lacks(short, stage) for short, stage in needs.stages.items())
            self._unfinished[id(needs)] = known
        return known

    def _lacks(self, short: str, stage: StageNeeds) -> bool:
        """Whether a stage has to be trained, or evaluations of it are missing."""
        artifact = self.look({short}).get(short)
        return artifact is None or not artifact.trained or not artifact.evaluations >= set(stage.evaluations)
