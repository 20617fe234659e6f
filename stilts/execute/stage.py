"""run_stage: what every rank of a gang does for one stage. Knows the store and the model, and nothing of Ray.

Order of writes, so that a kill at any moment loses at most the work since the last resume state: resume states while
training; weights; the stage's record; each evaluation's predictions, then its record; at last the weights that are
not kept go. All of them by the leader, and only while it holds the claim.
"""

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stilts.data.encode import training_features
from stilts.data.labels import with_labels
from stilts.data.prepare import read
from stilts.errors import StiltsError
from stilts.evaluate.evaluation import Evaluated, Forward, evaluate
from stilts.evaluate.metrics import main_number
from stilts.evaluate.pool import Pool
from stilts.evaluate.predict import forward
from stilts.evaluate.predictions import suffix
from stilts.execute.temporary import temporary_folder
from stilts.plan.cost import training_flops
from stilts.plan.job import StageJob
from stilts.plan.shapes import shape
from stilts.spec.stage import SHORT, BaseSpec, DataRef, EvaluationSpec, Part, StageSpec
from stilts.store.claim import WAIT_SECONDS, Claim
from stilts.store.open import open_store
from stilts.store.protocol import Store
from stilts.store.record import read_stage, stage_path, take_inventory, write_evaluation, write_stage
from stilts.tasks.base import Task, get_task
from stilts.train.base import materialise_base
from stilts.train.checkpoint import ResumeStore
from stilts.train.curriculum import TrainPart
from stilts.train.heads import heads_of
from stilts.train.loop import TrainResult, train
from stilts.train.model import Model, as_trained
from stilts.train.ranks import Ranks

Report = Callable[[dict[str, Any]], None]

_VERSIONS = ("stilts", "torch", "transformers", "deepspeed", "ray", "pyarrow")


def run_stage(job: StageJob, ranks: Ranks, report: Report) -> None:
    """Train the stage if the store lacks it, and do its missing evaluations.

    Called by every rank; a claim keeps every other driver from the stage meanwhile. What another driver finished
    since the plan was made is not done again.

    Raises:
        StiltsError: the parent's weights or the data are not as the plan found them; `Diverged`: the loss did.
    """
    store = open_store(job.store)
    claim = Claim(store, stage_path(job.name), lambda who: report({"phase": f"waiting for {who}"}))
    with _held(claim, ranks), temporary_folder() as scratch:
        current = ranks.broadcast(_current(store, job) if ranks.leader else None)
        if current is None:
            return
        work = _Stage(current, store, ranks, report)
        work.claim = claim if ranks.leader else None
        if isinstance(work.job.spec, BaseSpec):
            model = work.base(scratch)
        elif work.job.trained:
            model = work.reload()
        else:
            model = work.train(work.job.spec, scratch)
        work.evaluate(model)
        if ranks.leader and not work.job.keep_weights:
            claim.check()
            store.remove(f"{stage_path(job.name)}/weights")
        ranks.barrier()


@contextmanager
def _held(claim: Claim, ranks: Ranks) -> Iterator[None]:
    """Hold the claim. While another driver does, the ranks meet every second, lest a collective times out."""
    with ExitStack() as stack:
        while not ranks.broadcast(claim.acquire() if ranks.leader else None):
            time.sleep(WAIT_SECONDS)
        if ranks.leader:
            stack.push(claim)
        yield


def _current(store: Store, job: StageJob) -> StageJob | None:
    """The job as the store stands now that the claim is held; None where another driver has done it."""
    artifact = take_inventory(store, {job.name[-SHORT:]}, verify=True).get(job.name[-SHORT:])
    if artifact is None:
        return job
    missing = tuple(spec for spec in job.evaluations if spec.path not in artifact.evaluations)
    if artifact.trained and not missing and (artifact.weights or not job.needed):
        return None
    return replace(job, trained=artifact.trained and artifact.weights, evaluations=missing)


class _Stage:
    """One stage under way in one rank."""

    claim: Claim | None

    def __init__(self, job: StageJob, store: Store, ranks: Ranks, report: Report) -> None:
        self.job, self.store, self.ranks, self.report = job, store, ranks, report
        self.root = store.scratch(".")
        self.path = stage_path(job.name)

    # --- weights -----------------------------------------------------------------------------------------

    def base(self, scratch: Path) -> Model | None:
        """Materialise a base model; loaded only where it is evaluated itself."""
        spec = self.job.spec
        assert isinstance(spec, BaseSpec)
        if self.ranks.leader and not self.job.trained:
            self.report({"phase": "base model"})
            identity = spec.identity if spec.source is None else {**spec.identity, "path": spec.source}
            materialise_base(identity, scratch / "weights", self._text_files(spec, scratch))
            self._finish(scratch / "weights", spec.payload(), {})
        self.ranks.barrier()
        if not self.job.evaluations:
            return None
        return Model.load(self._weights(self.job.name)).to(self.ranks.device)

    def _text_files(self, spec: BaseSpec, scratch: Path) -> list[Path]:
        """The text of the tokenizer as plain files, one sentence a line."""
        files = []
        for ref in spec.text:
            files.append(scratch / f"{ref.language}.txt")
            files[-1].write_text("".join(f"{line}\n" for line in read(self.root, ref)["text"].to_pylist()))
        return files

    def reload(self) -> Model:
        """The model of a stage that is trained already."""
        return Model.reload(self._weights(self.job.name)).to(self.ranks.device)

    def train(self, spec: StageSpec, scratch: Path) -> Model:
        """Train the stage and record it."""
        assert self.job.parent is not None
        heads = heads_of([self._labelled(part) for part in spec.parts])
        model = Model.load(self._weights(self.job.parent), heads, spec.recipe.seed)
        result = train(
            model,
            [self._train_part(part, model) for part in spec.parts],
            spec.recipe,
            self.job.runtime,
            self.ranks,
            mixing=spec.mixing,
            dev_score=self._dev_score(spec, model),
            report=self._report_while_held,
            resume=ResumeStore(self.store.scratch(f"{self.path}/resume")),
        )
        if self.ranks.leader:
            model.save(scratch / "weights")
            self._finish(scratch / "weights", spec.payload(), self._training_record(spec, result, model))
            self.store.remove(f"{self.path}/resume")
        self.ranks.barrier()
        return model

    def _weights(self, name: str) -> Path:
        """A stage's weights on this machine, checked by the leader against the record."""
        record = read_stage(self.store, name)
        if record is None or not record.get("weights"):
            raise StiltsError(
                f"{self.store.uri}/{stage_path(name)} has no weights; run the experiment again to rebuild it"
            )
        path = f"{stage_path(name)}/weights"
        return self.store.fetch_tree(path, record["weights"] if self.ranks.leader else {})

    def _finish(self, weights: Path, payload: dict[str, Any], facts: dict[str, Any]) -> None:
        """Store weights, then the record that names their digests."""
        self._check()
        manifest = self.store.put_tree(weights, f"{self.path}/weights")
        self._check()
        record = {
            "name": self.job.name,
            "key": self.job.spec.key,
            "payload": payload,
            "weights": manifest,
            "runtime": self.job.runtime.model_dump(),
            "versions": {package: version(package) for package in _VERSIONS},
            "host": platform.node(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **facts,
        }
        write_stage(self.store, self.job.name, record)

    def _report_while_held(self, progress: dict[str, Any]) -> None:
        """Progress, until the claim is known to be lost: then another attempt writes resume states here."""
        if self.claim is not None and self.claim.lost:
            self.claim.check()
        self.report(progress)

    def _check(self) -> None:
        if self.claim is not None:
            self.claim.check()

    def _training_record(self, spec: StageSpec, result: TrainResult, model: Model) -> dict[str, Any]:
        size = shape(model.config.to_dict())
        seen = [(part, result.parts[part.task]) for part in spec.parts]
        flops = sum(training_flops(part, size, found.examples, found.tokens) for part, found in seen)
        kind = "gpu" if self.ranks.device.type == "cuda" else "cpu"
        best = [step for step, _ in result.dev].index(result.best_step) if result.dev else None
        return {
            "train": {
                "steps": result.steps,
                "examples": result.examples,
                "tokens": result.tokens,
                "seconds": round(result.seconds, 3),
                "losses": result.losses,
                "best_step": result.best_step,
                "parts": {task: vars(part) for task, part in result.parts.items()},
            },
            "dev": {
                "metric": get_task(spec.parts[0].task).metric if len(spec.parts) == 1 else "mean",
                "score": None if best is None else result.dev[best][1],
                "parts": {} if best is None else result.dev_parts[best],
                "curve": result.dev,
            },
            "speed": {"kind": kind, "flops": flops / max(result.seconds, 1e-9) / self.ranks.world},
        }

    # --- data --------------------------------------------------------------------------------------------

    def _labelled(self, part: Part) -> Task:
        """The task, with the labels of its training data where it declares none."""
        return with_labels(get_task(part.task), (read(self.root, ref) for ref in part.train))

    def _train_part(self, part: Part, model: Model) -> TrainPart:
        """Encoded training examples of one task; made by the leader, mapped by every rank."""
        self.report({"phase": f"features of {part.task}"})
        task = as_trained(get_task(part.task), model)
        if self.ranks.leader:
            training_features(self.root, part.train, task, part.recipe, model.tokenizer)
        self.ranks.barrier()
        features = training_features(self.root, part.train, task, part.recipe, model.tokenizer)
        return TrainPart(task.name, task.head_name, features, part.recipe)

    # --- evaluation --------------------------------------------------------------------------------------

    def _forward(self, model: Model, task: Task) -> Forward:
        """How the model is run for a task: with the task's head."""
        budget = self.job.runtime.tokens_per_micro_batch
        return lambda features, family, settings: forward(
            model, features, settings, self.ranks, family=family, head=task.head_name, tokens_per_batch=budget
        )

    def _dev_score(self, spec: StageSpec, model: Model) -> Callable[[], dict[str, float]] | None:
        """The main number of every task that has dev data."""
        scores = {part.task: self._main_number(part, part.dev, model) for part in spec.parts if part.dev is not None}
        return (lambda: {task: score() for task, score in scores.items()}) if scores else None

    def _main_number(self, part: Part, ref: DataRef, model: Model) -> Callable[[], float]:
        task = as_trained(get_task(part.task), model)
        as_in_training = {name: getattr(part.recipe, name) for name in ("max_length", "stride", "max_query_length")}
        settings = {**task.settings, **{name: value for name, value in as_in_training.items() if value is not None}}
        dev = EvaluationSpec(task.name, task.version, "dev", ref.language, ref, None, settings)
        table = read(self.root, ref)

        def score() -> float:
            metrics = evaluate(task, dev, table, None, model.tokenizer, self._forward(model, task)).metrics
            assert metrics is not None
            return main_number(metrics)

        return score

    def evaluate(self, model: Model | None) -> None:
        """Do the job's evaluations, storing each as it is done."""
        pools: dict[DataRef, Pool] = {}
        for done, spec in enumerate(self.job.evaluations):
            assert model is not None
            self.report(
                {"phase": f"evaluating {spec.task}/{spec.language}", "step": done, "steps": len(self.job.evaluations)}
            )
            tune = None if spec.tune is None else read(self.root, spec.tune)
            table = read(self.root, spec.data)
            if spec.pool is not None and spec.pool not in pools:
                pools[spec.pool] = Pool(read(self.root, spec.pool))
            pool = None if spec.pool is None else pools[spec.pool]
            task = as_trained(get_task(spec.task), model)
            found = evaluate(task, spec, table, tune, model.tokenizer, self._forward(model, task), pool)
            if self.ranks.leader:
                self._check()
                self._store(spec, found)

    def _store(self, spec: EvaluationSpec, found: Evaluated) -> None:
        record = {
            "examples": found.examples,
            "labelled": found.metrics is not None,
            "metrics": found.metrics,
            "settings": spec.settings,
            "condition": None if spec.condition is None else vars(spec.condition),
            "extra": found.extra,
        }
        write_evaluation(self.store, self.job.name, spec, found.predictions, f".{suffix(spec.task)}", record)
