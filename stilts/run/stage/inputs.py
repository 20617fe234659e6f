"""Inputs of a stage: weights, examples and encoded data, obtained from the store."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from stilts.data.encode import features_path, training_features
from stilts.data.labels import with_labels
from stilts.data.tables import read_table
from stilts.errors import StiltsError
from stilts.identity.stage import BaseSpec, DataRef, Part
from stilts.ledger.data import publish_table, read_examples
from stilts.ledger.record import read_stage, stage_path
from stilts.run.stage.attempt import Attempt
from stilts.storage.protocol import Corrupt, Store
from stilts.tasks.base import Task, get_task
from stilts.train.model import Model, as_trained
from stilts.train.ranks import Ranks
from stilts.train.step_schedule import TrainPart

T = TypeVar("T")


def obtain_weights(attempt: Attempt, name: str) -> Path:
    """Local folder with the weights of a stage (collective).

    The weights are downloaded once per node and checked against the stage's record.

    Raises:
        StiltsError: the stage has no record or no weights.
    """
    return attempt.ranks.on_each_node(lambda: _fetch_weights(attempt.store, name))


def _fetch_weights(store: Store, name: str) -> Path:
    record = read_stage(store, name)
    if record is None or not record.get("weights"):
        raise StiltsError(f"{store.uri}/{stage_path(name)} has no weights; run the experiment again to rebuild it")
    return store.fetch_tree(f"{stage_path(name)}/weights", record["weights"])


def labelled_tasks(store: Store, parts: Sequence[Part]) -> list[Task]:
    """The task of each part. A task that declares no labels gets those that occur in its training data."""
    return [
        with_labels(get_task(part.task), (read_examples(store, reference) for reference in part.train))
        for part in parts
    ]


def obtain_train_part(attempt: Attempt, part: Part, model: Model) -> TrainPart:
    """Encoded training data of one task (collective).

    The leader encodes and publishes the data if the store lacks it; every rank maps the same file into memory.

    Raises:
        Preempted: a rank is draining.
    """
    attempt.ranks.raise_if_draining()
    attempt.report({"phase": f"features of {part.task}"})
    store, task = attempt.store, as_trained(get_task(part.task), model)
    path = features_path(part.train, task, part.recipe, model.tokenizer)
    if attempt.ranks.leader and not _is_stored(store, path):
        examples = [(reference, read_examples(store, reference)) for reference in part.train]
        publish_table(store, training_features(examples, task, part.recipe, model.tokenizer), path)
    attempt.ranks.barrier()
    return TrainPart(task.name, task.head_name, read_table(store.obtain(path)), part.recipe)


def kept_table(attempt: Attempt, path: str, make: Callable[[], pa.Table]) -> pa.Table:
    """The table at a path of the store, mapped into memory. The leader makes and publishes it if the store lacks it.

    Another rank that does not find it makes its own. May run in a thread.
    """
    if not _is_stored(attempt.store, path):
        if not attempt.ranks.leader:
            return make()
        publish_table(attempt.store, make(), path)
    return read_table(attempt.store.obtain(path))


def in_turn(ranks: Ranks, makes: Sequence[Callable[[], T]]) -> Generator[T, None, None]:
    """Call the functions in their order and yield each result (collective).

    While the caller works with one result, a thread of the leader already calls the next function. The other ranks call
    a function only after the leader's call has returned, so that they read what the leader has published.
    """
    with ThreadPoolExecutor(1, "inputs") as thread:
        coming: list[Future[T]] = [thread.submit(make) for make in makes[:1] if ranks.leader]
        for number, make in enumerate(makes):
            made = [future.result() for future in coming]
            ranks.barrier()
            coming = [thread.submit(after) for after in makes[number + 1 : number + 2] if ranks.leader]
            yield made[0] if made else make()


def _is_stored(store: Store, path: str) -> bool:
    try:
        store.obtain(path)
    except Corrupt:
        return False
    return True


def tokenizer_text(store: Store, spec: BaseSpec, folder: Path) -> list[Path]:
    """Write the text that a new tokenizer is trained on to plain files, one sentence per line."""
    return [_text_file(store, reference, folder) for reference in spec.text]


def _text_file(store: Store, reference: DataRef, folder: Path) -> Path:
    file = folder / f"{reference.language}.txt"
    file.write_text("".join(f"{line}\n" for line in read_examples(store, reference)["text"].to_pylist()))
    return file
