"""A spot machine is preempted in the middle of a training: notice, watcher, drain, resume state, another node."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.cluster_utils import Cluster
from ray.tune.experiment import Trial

from stilts.ledger.record import read_stage
from stilts.run.tune_adapter.execute import Outcome, execute
from stilts.session import Session
from tests.run.cluster.metadata import ACTION, REBALANCE, serving
from tests.run.cluster.test_watch import Watcher
from tests.tiny import TINY

pytestmark = pytest.mark.slow

EXPERIMENT = (
    """\
name: spot
store: {store}
seeds: [1]
"""
    + TINY
    + """\
    pretrain: [{{task: mlm, recipe: {{max_steps: 1500, batch_size: 16, max_length: 64}}}}]
intermediates: [none]
targets: [xnli]
recipe: {{precision: fp32, learning_rate: 1e-3, max_steps: 12, batch_size: 8, max_length: 96}}
data: {{generate: {{languages: 2, sentences: 60}}}}
runtime: {{accelerator: cpu, max_retries: 0}}
"""
)


class Story(tune.Callback):
    """Takes the node of the pretraining back at step 50, and notes when and where what happened."""

    def __init__(self, drain_nodes: Any, resume: Any) -> None:
        self.drain_nodes, self.resume = drain_nodes, resume
        self.at: dict[str, float] = {}
        self.nodes: list[str] = []
        self.before: list[int] = []
        self.after: list[int] = []
        self.state = 0

    def __getstate__(self) -> dict:
        return {}

    def on_trial_result(self, iteration: int, trials: list, trial: Trial, result: dict, **info: Any) -> None:
        if "mlm" not in trial.config["stage"] or "loss" not in result:
            return
        if result["nodes"] not in self.nodes:
            self.nodes.append(result["nodes"])
        if "drained" in self.at:
            self.after.append(result["step"])
            self.at.setdefault("went on", time.time())
            return
        self.before.append(result["step"])
        if result["step"] >= 50 and "notice" not in self.at:
            self.at["notice"] = time.time()
            self.drain_nodes()

    def on_trial_error(self, iteration: int, trials: list, trial: Trial, **info: Any) -> None:
        self.at["drained"] = time.time()
        self.state = self.resume(trial.config["stage"])


def run(folder: Path, *callbacks: tune.Callback) -> tuple[Session, Outcome]:
    folder.mkdir(exist_ok=True)
    (folder / "spot.yaml").write_text(EXPERIMENT.format(store=folder / "store"))
    session = Session.open(folder / "spot.yaml")
    session.prepare(list)
    jobs = list(session.plan().jobs.values())
    return session, execute(jobs, runtime=session.experiment.runtime, callbacks=callbacks)


def test_a_stage_goes_on_elsewhere_at_the_same_step_and_ends_with_the_same_bits(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spot = cluster.add_node(num_cpus=1)

    def state(stage: str) -> int:
        return json.loads((tmp_path / "taken" / "store" / "stages" / stage / "resume" / "state.json").read_text())[
            "step"
        ]

    with serving() as (metadata, address):

        def drain_nodes() -> None:
            cluster.add_node(num_cpus=1)
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 120))
            metadata.aws[ACTION] = json.dumps({"action": "terminate", "time": at})

        story = Story(drain_nodes, state)
        environment = {**os.environ, "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{address}"}
        options = ("--cloud", "aws", "--address", cluster.address, "--node", spot.node_id)
        watcher = Watcher(environment, tmp_path, *options)
        try:
            assert watcher.says("watching AWS")
            metadata.broken = 503
            assert watcher.says("status 503; trying again")
            metadata.broken = None
            assert watcher.says("answers again")
            metadata.aws[REBALANCE] = json.dumps({"noticeTime": "2036-09-18T08:22:00Z"})
            assert watcher.says("nothing is done about it")
            session, taken = run(tmp_path / "taken", story)
        finally:
            assert watcher.end() == 0

    assert taken.complete
    (moved,) = [name for name, stage in taken.stages.items() if stage.lost]
    assert taken.stages[moved].lost == {"preemption": 1}
    assert [spot.node_id in nodes for nodes in story.nodes] == [True, False]
    assert 50 <= story.state < 1500
    assert all(step <= story.state for step in story.before)
    assert all(step > story.state for step in story.after)

    other, undisturbed = run(tmp_path / "undisturbed")
    assert undisturbed.complete
    for name in undisturbed.stages:
        one, two = read_stage(session.store, name), read_stage(other.store, name)
        assert one is not None
        assert two is not None
        for fact in ("weights", "dev"):
            assert one.get(fact) == two.get(fact)
        if "train" in one:
            assert one["train"]["losses"] == two["train"]["losses"]
    assert predictions(tmp_path / "taken") == predictions(tmp_path / "undisturbed")

    seconds = {what: round(story.at[what] - story.at["notice"], 1) for what in ("drained", "went on")}
    with capsys.disabled():
        print(f"\nseconds after the notice: {seconds}, with the state of step {story.state}\n{watcher.log.read_text()}")


def predictions(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in (folder / "store" / "stages").glob("*/evaluations/**/*")
        if path.is_file() and not path.name.endswith(".record.json")
    }
