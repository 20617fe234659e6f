"""Model of a stage: a base model that is fetched or created, a stage that is trained, or one that is loaded again."""

from pathlib import Path

from stilts.encoders.configs import CONFIG, read_config
from stilts.encoders.kinds import kind_warning
from stilts.identity.stage import BaseSpec, StageSpec
from stilts.ledger.base_checkpoint import forget_checkpoint, obtain_checkpoint
from stilts.os_errors import TEMPORARY, explained
from stilts.run.stage.attempt import Attempt
from stilts.run.stage.facts import training_facts
from stilts.run.stage.inputs import labelled_tasks, obtain_train_part, obtain_weights, tokenizer_text
from stilts.run.stage.parents import PARENTS, Parent
from stilts.run.stage.publish import publish_stage, remove_resume_states
from stilts.run.stage.resume import ResumeCopies
from stilts.run.stage.scoring import dev_score, watched_scores
from stilts.storage.local import LocalStore
from stilts.train.base import materialise_base
from stilts.train.checkpoint import ResumeStore
from stilts.train.engine_choice import load_for_training
from stilts.train.heads import heads_of
from stilts.train.loop import train
from stilts.train.model import Model
from stilts.train.precision import set_precision
from stilts.train.ranks import Stopped
from stilts.train.result import TrainResult


def stage_model(attempt: Attempt, scratch: Path) -> Model | None:
    """The model of the job's stage, trained first if the store lacks it (collective).

    Args:
        scratch: an empty folder for files until they are in the store.

    Returns:
        The model, ready for evaluation on the rank's device; None for a base model without evaluations.

    Raises:
        Diverged: the loss became NaN or infinite.
        Preempted: a rank was preempted.
        Stopped: the stage was cancelled.
    """
    spec = attempt.job.spec
    if isinstance(spec, BaseSpec):
        return _base_model(attempt, spec, scratch)
    return _load_trained(attempt, spec) if attempt.job.trained else _train(attempt, spec, scratch)


def _base_model(attempt: Attempt, spec: BaseSpec, scratch: Path) -> Model | None:
    if attempt.ranks.leader and not attempt.job.trained:
        _publish_base(attempt, spec, scratch)
    attempt.flush()
    if not attempt.job.evaluations:
        return None
    return Model.load(obtain_weights(attempt, attempt.job.name)).to(attempt.ranks.device)


def _publish_base(attempt: Attempt, spec: BaseSpec, scratch: Path) -> None:
    attempt.report({"phase": "base model"})
    store, weights = attempt.store, scratch / "weights"
    found = {} if spec.source is None else {"path": str(obtain_checkpoint(store, spec))}
    with explained("write", scratch, what=TEMPORARY):
        text = tokenizer_text(store, spec, scratch)
    materialise_base({**spec.identity, **found}, weights, text)
    warning = kind_warning(read_config(weights / CONFIG))
    publish_stage(attempt, weights, spec.payload(), {} if warning is None else {"warnings": [warning]})
    attempt.submit(lambda: forget_checkpoint(store, spec))


def _load_trained(attempt: Attempt, spec: StageSpec) -> Model:
    model = Model.reload(obtain_weights(attempt, attempt.job.name)).to(attempt.ranks.device)
    set_precision(model, spec.recipe.precision)
    return model


def _train(attempt: Attempt, spec: StageSpec, scratch: Path) -> Model:
    """Train the stage and publish it. The resume states are removed after a training that ended or was cancelled."""
    assert attempt.job.parent is not None
    heads = heads_of(labelled_tasks(attempt.store, spec.parts))
    parent = PARENTS.find(attempt, attempt.job.parent)
    if parent is not None:
        model = Model.continued(parent, heads, spec.recipe.seed_of("head"))
    else:
        weights = obtain_weights(attempt, attempt.job.parent)
        model = load_for_training(weights, heads, spec.recipe, attempt.job.runtime, attempt.ranks)
    resume, copies = _resume_store(attempt)
    try:
        result = train(
            model,
            [obtain_train_part(attempt, part, model) for part in spec.parts],
            spec.recipe,
            attempt.job.runtime,
            attempt.ranks,
            mixing=spec.mixing,
            dev_score=dev_score(attempt, spec, model),
            watch=watched_scores(attempt, model),
            report=attempt.report_while_held,
            resume=resume,
        )
    except Stopped:
        remove_resume_states(attempt, resume, copies)
        attempt.flush()
        raise
    if copies is not None:
        copies.stop()  # before the weights, so that they need not wait for another copy
    kept = PARENTS.keep(attempt, model)
    if attempt.ranks.leader:
        _publish_trained(attempt, spec, model, result, scratch / "weights", kept)
    set_precision(model, spec.recipe.precision)
    remove_resume_states(attempt, resume, copies)
    return model


def _publish_trained(
    attempt: Attempt, spec: StageSpec, model: Model, result: TrainResult, weights: Path, kept: Parent | None
) -> None:
    if attempt.job.rounds_weights:
        set_precision(model, "bf16")
    need = sum(tensor.nbytes for tensor in model.state_dict().values())
    with explained("write", weights, what=TEMPORARY, need=need):
        model.save(weights)
    facts = training_facts(attempt, spec, result, model)
    if kept is None:
        publish_stage(attempt, weights, spec.payload(), facts)
    else:
        publish_stage(attempt, weights, spec.payload(), facts, kept.published)


def _resume_store(attempt: Attempt) -> tuple[ResumeStore, ResumeCopies | None]:
    """Where the resume states of the stage are kept.

    In a local or shared folder, the store's own scratch folder holds them. For a store in a bucket, they are kept on
    this machine, and the leader copies them to the store.
    """
    path = f"{attempt.path}/resume"
    folder = attempt.store.scratch(path)
    if attempt.uploader is None or isinstance(attempt.store, LocalStore):
        return ResumeStore(folder, confirm=attempt.lease.confirm), None
    copies = ResumeCopies(attempt.store, path, folder, attempt.lease.attempt, attempt.uploader)
    return ResumeStore(folder, copies.saved, copies.newer, attempt.lease.confirm), copies
