"""run_stage: what every rank of a gang does for one stage. Knows the store and the model, and nothing of Ray.

Order of writes, so that a kill at any moment loses at most the work since the last resume state: resume states while
training; weights; the stage's record; each evaluation's predictions, then its record; at last the model card of weights
that are kept, or weights that are not go. All of them by the leader, in a thread of its own (`uploader.py`), and only
while it holds the lease. The stage is over when they are in the store.
"""

import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.encode import features_path, training_features
from stilts.data.labels import with_labels
from stilts.data.tables import read_table
from stilts.encoders.configs import CONFIG, read_config
from stilts.encoders.kinds import kind_warning
from stilts.errors import StiltsError
from stilts.evaluate.candidates import Pool
from stilts.evaluate.evaluation import Evaluated, Forward, evaluate
from stilts.evaluate.predict import forward
from stilts.evaluate.predictions import suffix
from stilts.identity.stage import SHORT, BaseSpec, DataRef, EvaluationSpec, Part, StageSpec
from stilts.ledger.base_checkpoint import forget_checkpoint, obtain_checkpoint
from stilts.ledger.data import publish_table, read_examples
from stilts.ledger.mark import check_mark
from stilts.ledger.record import (
    drop_weights,
    read_stage,
    stage_path,
    take_inventory,
    write_evaluation,
    write_model_card,
    write_stage,
)
from stilts.plan.job import StageJob
from stilts.run.stage.facts import training_facts
from stilts.run.stage.model_card import model_card
from stilts.run.stage.resume import ResumeCopies
from stilts.run.stage.uploader import Uploader
from stilts.run.temporary import temporary_folder
from stilts.storage.lease import WAIT_SECONDS, Lease
from stilts.storage.local import LocalStore
from stilts.storage.open import open_store
from stilts.storage.protocol import Corrupt, Store
from stilts.tasks.base import Task, get_task
from stilts.tasks.score import main_number
from stilts.train.base import materialise_base
from stilts.train.checkpoint import ResumeStore
from stilts.train.heads import heads_of
from stilts.train.loop import train
from stilts.train.model import Model, as_trained
from stilts.train.precision import set_precision
from stilts.train.ranks import Ranks, Stopped
from stilts.train.step_schedule import TrainPart

Report = Callable[[dict[str, Any]], None]

_VERSIONS = ("stilts", "torch", "transformers", "deepspeed", "ray", "pyarrow")


def run_stage(job: StageJob, ranks: Ranks, report: Report) -> None:
    """Train the stage if the store lacks it, and do its missing evaluations.

    Called by every rank; a lease keeps every other driver from the stage meanwhile. What another driver finished
    since the plan was made is not done again.

    Raises:
        StiltsError: the parent's weights or the data are not as the plan found them; `Diverged`: the loss did;
            `Preempted`: a rank was asked to give up its machine, and the store has what was done; `Stopped`: one was
            asked to end the stage, and the store has nothing of it.
    """
    store = open_store(job.store)
    if job.mark is not None:
        check_mark(store, job.mark)
    lease = Lease(store, stage_path(job.name), lambda who: report({"phase": f"waiting for {who}"}))
    with _held(lease, ranks), temporary_folder() as scratch:
        current = ranks.broadcast(_current(store, job) if ranks.leader else None)
        if ranks.leader and (current is None or current.trained):
            _remove_leavings(store, job, done=current is None)
        if current is None:
            return
        with Uploader(lease.check) if ranks.leader else nullcontext() as uploader:
            work = _Stage(current, store, ranks, report, lease, uploader)
            if isinstance(work.job.spec, BaseSpec):
                model = work.base(scratch)
            elif work.job.trained:
                model = work.reload()
            else:
                model = work.train(work.job.spec, scratch)
            work.evaluate(model)
            work.write_model_card()
            work.drop_weights()
            work.flush()


@contextmanager
def _held(lease: Lease, ranks: Ranks) -> Iterator[None]:
    """Hold the lease. While another driver does, the ranks meet every second, lest a collective times out."""
    with ExitStack() as stack:
        while not ranks.broadcast(lease.acquire() if ranks.leader else None):
            ranks.give_way()
            time.sleep(WAIT_SECONDS)
        if ranks.leader:
            stack.push(lease)
        yield


def _current(store: Store, job: StageJob) -> StageJob | None:
    """The job as the store stands now that the lease is held; None where another driver has done it."""
    artifact = take_inventory(store, {job.name[-SHORT:]}, verify=True).get(job.name[-SHORT:])
    if artifact is None:
        return job
    missing = tuple(spec for spec in job.evaluations if spec.path not in artifact.evaluations)
    if artifact.trained and not missing and ((artifact.weights and artifact.exact) or not job.needed):
        return None
    # The plan trains again what it found rounded and a stage is to continue from.
    serves = artifact.weights and (artifact.exact or job.trained or not job.needed)
    return replace(job, trained=artifact.trained and serves, evaluations=missing)


def _remove_leavings(store: Store, job: StageJob, done: bool) -> None:
    """What an attempt had still to remove that was killed once the stage was trained.

    Args:
        done: nothing is left to evaluate.
    """
    store.remove(f"{stage_path(job.name)}/resume")
    for folder in store.scratch(stage_path(job.name)).glob("resume*"):
        shutil.rmtree(folder, ignore_errors=True)
    if done and not job.keep_weights:
        drop_weights(store, job.name)


def _precision(spec: EvaluationSpec) -> str:
    """In what a base model computes for an evaluation; those in fp32 come first, before the weights are rounded."""
    return str(spec.settings.get("precision", "fp32"))


class _Stage:
    """One stage under way in one rank.

    Attributes:
        lease: held by the leader.
        uploader: of the leader; None in the other ranks, which write nothing.
    """

    def __init__(
        self, job: StageJob, store: Store, ranks: Ranks, report: Report, lease: Lease, uploader: Uploader | None
    ) -> None:
        self.job, self.store, self.ranks, self.report = job, store, ranks, report
        self.lease, self.uploader = lease, uploader
        self.path = stage_path(job.name)

    def flush(self) -> None:
        """Wait, on every rank, until all is in the store (collective)."""
        if self.uploader is not None:
            self.report({"phase": "uploading"})
            self.uploader.flush()
        self.ranks.barrier()

    # --- weights -----------------------------------------------------------------------------------------

    def base(self, scratch: Path) -> Model | None:
        """Materialise a base model; loaded only where it is evaluated itself."""
        spec = self.job.spec
        assert isinstance(spec, BaseSpec)
        if self.uploader is not None and not self.job.trained:
            self.report({"phase": "base model"})
            found = {} if spec.source is None else {"path": str(obtain_checkpoint(self.store, spec))}
            materialise_base({**spec.identity, **found}, scratch / "weights", self._text_files(spec, scratch))
            warning = kind_warning(read_config(scratch / "weights" / CONFIG))
            facts = {} if warning is None else {"warnings": [warning]}
            self._finish(self.uploader, scratch / "weights", spec.payload(), facts)
            self.uploader.submit(lambda: forget_checkpoint(self.store, spec))
        self.flush()
        if not self.job.evaluations:
            return None
        return Model.load(self._weights(self.job.name)).to(self.ranks.device)

    def _text_files(self, spec: BaseSpec, scratch: Path) -> list[Path]:
        """The text of the tokenizer as plain files, one sentence a line."""
        files = []
        for ref in spec.text:
            files.append(scratch / f"{ref.language}.txt")
            files[-1].write_text("".join(f"{line}\n" for line in self._read(ref)["text"].to_pylist()))
        return files

    def reload(self) -> Model:
        """The model of a stage that is trained already."""
        assert isinstance(self.job.spec, StageSpec)
        model = Model.reload(self._weights(self.job.name)).to(self.ranks.device)
        set_precision(model, self.job.spec.recipe.precision)
        return model

    def train(self, spec: StageSpec, scratch: Path) -> Model:
        """Train the stage and record it."""
        assert self.job.parent is not None
        heads = heads_of([self._labelled(part) for part in spec.parts])
        model = Model.load(self._weights(self.job.parent), heads, spec.recipe.seed_of("head"))
        resume, copies = self._resume()
        try:
            result = train(
                model,
                [self._train_part(part, model) for part in spec.parts],
                spec.recipe,
                self.job.runtime,
                self.ranks,
                mixing=spec.mixing,
                dev_score=self._dev_score(spec, model),
                watch=self._watch(model),
                report=self._report_while_held,
                resume=resume,
            )
        except Stopped:
            self._forget(resume, copies)
            self.flush()
            raise
        if self.uploader is not None:
            if copies is not None:
                copies.stop()
            if self.job.rounds_weights:
                set_precision(model, "bf16")
            model.save(scratch / "weights")
            facts = training_facts(self.store, self.job, spec, result, model, self.ranks)
            self._finish(self.uploader, scratch / "weights", spec.payload(), facts)
        set_precision(model, spec.recipe.precision)
        self._forget(resume, copies)
        return model

    def _forget(self, resume: ResumeStore, copies: ResumeCopies | None) -> None:
        """Have the resume states removed once all before is stored: the training is over."""
        if copies is not None:
            copies.stop()
        if self.uploader is not None:
            self.uploader.submit(lambda: self.store.remove(f"{self.path}/resume"))
            self.uploader.submit(resume.clear)

    def _resume(self) -> tuple[ResumeStore, ResumeCopies | None]:
        """Where resume states are kept: in the store's own folder; or on this machine, with copies in the store."""
        path = f"{self.path}/resume"
        folder = self.store.scratch(path)
        if self.uploader is None or isinstance(self.store, LocalStore):
            return ResumeStore(folder, confirm=self.lease.confirm), None
        copies = ResumeCopies(self.store, path, folder, self.lease.attempt, self.uploader)
        return ResumeStore(folder, copies.saved, copies.newer, self.lease.confirm), copies

    def _weights(self, name: str) -> Path:
        """A stage's weights on this machine, fetched and checked against the record once for each node."""
        return self.ranks.on_each_node(lambda: self._fetch(name))

    def _fetch(self, name: str) -> Path:
        record = read_stage(self.store, name)
        if record is None or not record.get("weights"):
            raise StiltsError(
                f"{self.store.uri}/{stage_path(name)} has no weights; run the experiment again to rebuild it"
            )
        return self.store.fetch_tree(f"{stage_path(name)}/weights", record["weights"])

    def _finish(self, uploader: Uploader, weights: Path, payload: dict[str, Any], facts: dict[str, Any]) -> None:
        """Have weights stored, then the record that names their digests."""
        identity = {"name": self.job.name, "key": self.job.spec.key, "payload": payload}
        precision = "bf16" if self.job.rounds_weights else "fp32"
        circumstances = {
            "runtime": self.job.runtime.model_dump(),
            "versions": {package: version(package) for package in _VERSIONS},
            "host": platform.node(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }

        def write() -> None:
            manifest = self.store.put_tree(weights, f"{self.path}/weights")
            uploader.check()
            record = {**identity, "weights": manifest, "weights_precision": precision, **circumstances, **facts}
            write_stage(self.store, self.job.name, record)

        uploader.submit(write)

    def write_model_card(self) -> None:
        """Have a model card put beside weights that stay, with all scores that are there by now."""
        if self.uploader is not None and self.job.keep_weights and isinstance(self.job.spec, StageSpec):
            self.uploader.submit(
                lambda: write_model_card(self.store, self.job.name, model_card(self.store, self.job.name))
            )

    def drop_weights(self) -> None:
        """Have weights removed that nothing starts from, once all else is stored."""
        if self.uploader is not None and not self.job.keep_weights:
            self.uploader.submit(lambda: drop_weights(self.store, self.job.name))

    def _report_while_held(self, progress: dict[str, Any]) -> None:
        """Progress, as long as the lease is held: afterwards another attempt is at work."""
        if self.lease.lapsed:
            self.report({"phase": "making sure of the lease"})
            self.lease.confirm()
        self.report(progress)

    # --- data --------------------------------------------------------------------------------------------

    def _labelled(self, part: Part) -> Task:
        """The task, with the labels of its training data where it declares none."""
        return with_labels(get_task(part.task), (self._read(ref) for ref in part.train))

    def _read(self, ref: DataRef) -> pa.Table:
        return read_examples(self.store, ref)

    def _train_part(self, part: Part, model: Model) -> TrainPart:
        """Encoded training examples of one task: made by the leader if the store lacks them, mapped by every rank."""
        self.ranks.give_way()
        self.report({"phase": f"features of {part.task}"})
        task = as_trained(get_task(part.task), model)
        path = features_path(part.train, task, part.recipe, model.tokenizer)
        if self.ranks.leader and not self._stored(path):
            examples = [(ref, self._read(ref)) for ref in part.train]
            publish_table(self.store, training_features(examples, task, part.recipe, model.tokenizer), path)
        self.ranks.barrier()
        return TrainPart(task.name, task.head_name, read_table(self.store.obtain(path)), part.recipe)

    def _stored(self, path: str) -> bool:
        try:
            self.store.obtain(path)
        except Corrupt:
            return False
        return True

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
        return self._scorer(
            EvaluationSpec(task.name, task.scored_version, "dev", ref.language, ref, None, settings), model
        )

    def _watch(self, model: Model) -> Callable[[], list[float]] | None:
        """The main number of everything that is watched."""
        scores = [self._scorer(what.evaluation, model, what.examples) for what in self.job.watched]
        return (lambda: [score() for score in scores]) if scores else None

    def _scorer(self, spec: EvaluationSpec, model: Model, examples: int | None = None) -> Callable[[], float]:
        """The main number of an evaluation, of its first so many examples, as the model stands when it is called."""
        task = as_trained(get_task(spec.task), model)
        table = self._read(spec.data).slice(0, examples)
        tune = None if spec.tune is None else self._read(spec.tune)

        def score() -> float:
            metrics = evaluate(task, spec, table, tune, model.tokenizer, self._forward(model, task)).metrics
            assert metrics is not None
            return main_number(task, metrics)

        return score

    def evaluate(self, model: Model | None) -> None:
        """Do the job's evaluations, storing each as it is done."""
        pools: dict[DataRef, Pool] = {}
        for done, spec in enumerate(sorted(self.job.evaluations, key=_precision, reverse=True)):
            assert model is not None
            if isinstance(self.job.spec, BaseSpec):
                set_precision(model, _precision(spec))
            self.ranks.give_way()
            self.report(
                {"phase": f"evaluating {spec.task}/{spec.language}", "step": done, "steps": len(self.job.evaluations)}
            )
            tune = None if spec.tune is None else self._read(spec.tune)
            table = self._read(spec.data)
            if spec.pool is not None and spec.pool not in pools:
                pools[spec.pool] = Pool(self._read(spec.pool))
            pool = None if spec.pool is None else pools[spec.pool]
            task = as_trained(get_task(spec.task), model)
            found = evaluate(task, spec, table, tune, model.tokenizer, self._forward(model, task), pool)
            if self.uploader is not None:
                self._store(self.uploader, spec, found)

    def _store(self, uploader: Uploader, spec: EvaluationSpec, found: Evaluated) -> None:
        record = {
            "examples": found.examples,
            "labelled": found.metrics is not None,
            "metrics": found.metrics,
            "settings": spec.settings,
            "condition": None if spec.condition is None else vars(spec.condition),
            "extra": found.extra,
        }
        ending = f".{suffix(spec.task)}"
        uploader.submit(partial(write_evaluation, self.store, self.job.name, spec, found.predictions, ending, record))
