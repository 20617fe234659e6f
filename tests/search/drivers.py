"""A driver of a search without Ray: a real study and a real store; only the training is replaced."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from stilts.ledger.record import write_stage
from stilts.schedule.agenda import StageOutcome
from stilts.search.declared import Declarations
from stilts.search.proposals import Proposals
from stilts.search.session import SearchSession
from stilts.search.study import open_study

Open = Callable[..., SearchSession]


class Driver:
    """Does with the stage source what a run does, without Ray. A new driver stands for a new process of the search."""

    def __init__(self, found: SearchSession) -> None:
        self.found, self.store = found, found.session.store
        self.said: list[str] = []
        self.study = open_study(found, self.said.append)
        self.declared = Declarations(found)
        self.proposals = Proposals(found, self.study, self.declared, self.said.append)

    def offer(self) -> str:
        job = self.proposals.offer()
        assert job is not None
        return job.name

    def train(self, stage: str, curve: list[tuple[int, float]]) -> None:
        """End a stage: write its record with the curve of dev scores and the best of them."""
        score = max(score for _, score in curve)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "model.safetensors").write_bytes(b"weights")
            manifest = self.store.put_tree(Path(folder), f"stages/{stage}/weights")
        write_stage(self.store, stage, {"weights": manifest, "dev": {"score": score, "curve": curve}})
        self.proposals.ended(stage, StageOutcome("done", seconds=2.0))

    def states(self) -> list[str]:
        return [trial.state.name for trial in self.study.get_trials()]

    def weights(self, stage: str) -> bool:
        return bool(list(self.store.list(f"stages/{stage}/weights")))
