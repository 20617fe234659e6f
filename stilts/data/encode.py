"""Encode once: the features of a stage's training data, kept in the store by all that determines them."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from stilts.data.prepare import read
from stilts.data.tables import read_table, write_table
from stilts.spec.canonical import digest
from stilts.spec.recipe import Recipe
from stilts.spec.stage import SHORT, DataRef
from stilts.tasks.base import Task
from stilts.tasks.families import Lengths, get_family

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def training_features(
    root: Path, refs: tuple[DataRef, ...], task: Task, recipe: Recipe, tokenizer: "PreTrainedTokenizerFast"
) -> pa.Table:
    """Features of the training examples (see `tasks/families/base.py`), with a `language` column, memory-mapped.

    Items and examples are numbered over all references, so that none of one is taken for one of the next. Made and
    stored by the first caller; a file that several make at once is the same from each.

    Args:
        root: folder of the store's data.
        refs: one per language, and per task where the task is a union of others, whose examples have its form; of each
            the first `recipe.max_examples`.
        task: with the labels that the head has.
    """
    path = root / "features" / f"{task.name}-{_key(refs, task, recipe, tokenizer)[:SHORT]}.arrow"
    if not path.exists():
        tables = [_encode(root, ref, task, recipe, tokenizer) for ref in refs]
        write_table(pa.concat_tables(_numbered_on(tables)), path)
    return read_table(path)


def _key(refs: tuple[DataRef, ...], task: Task, recipe: Recipe, tokenizer: "PreTrainedTokenizerFast") -> str:
    content = tokenizer.backend_tokenizer.to_str()
    return digest(
        {
            "task": [task.name, task.version, list(task.labels)],
            "data": [[ref.language, ref.identity] for ref in refs],
            "lengths": vars(Lengths.of(recipe)),
            "max_examples": recipe.max_examples,
            "tokenizer": hashlib.sha256(content.encode()).hexdigest(),
        }
    )


def _encode(root: Path, ref: DataRef, task: Task, recipe: Recipe, tokenizer: "PreTrainedTokenizerFast") -> pa.Table:
    examples = read(root, ref)
    if recipe.max_examples is not None:
        examples = examples.slice(0, recipe.max_examples)
    features = get_family(task.family).encode(examples, tokenizer, task, Lengths.of(recipe), training=True)
    return features.append_column("language", pa.array([ref.language] * features.num_rows, pa.string()))


def _numbered_on(tables: list[pa.Table]) -> list[pa.Table]:
    """The tables, each with its items and examples numbered on from those of the one before."""
    found = list(tables)
    for name in ("item", "example"):
        taken = 0
        for i, table in enumerate(found):
            numbers = pc.add(table[name], pa.scalar(taken, pa.int32()))
            found[i] = table.set_column(table.schema.get_field_index(name), name, numbers)
            taken = pc.max(numbers).as_py() + 1 if table.num_rows else taken
    return found
