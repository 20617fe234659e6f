"""Features of a stage's training data, and the path that names all that determines them, so that they are made once."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.experiment.recipe import Recipe
from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT, DataRef
from stilts.tasks.base import Task
from stilts.tasks.families import Lengths, get_family

_DRAW = 18
"""Keeps the draw of a subset apart from the other uses of a seed, such as the order of the examples."""

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def features_path(refs: Sequence[DataRef], task: Task, recipe: Recipe, tokenizer: "PreTrainedTokenizerFast") -> str:
    """Arrow file of the features, relative to the store: `features/TASK-DIGEST.arrow`. Equal paths hold equal rows."""
    return f"features/{task.name}-{_key(refs, task, recipe, tokenizer)[:SHORT]}.arrow"


def training_features(
    examples: Sequence[tuple[DataRef, pa.Table]], task: Task, recipe: Recipe, tokenizer: "PreTrainedTokenizerFast"
) -> pa.Table:
    """Features of training examples (see `tasks/families/base.py`), with a `language` column.

    Items and examples are numbered over all references, so that none of one is taken for one of the next.

    Args:
        examples: canonical tables, one per language, and per task where the task is a union of others, whose examples
            have its form; of each as many are taken as `recipe.max_examples` says (see `subset`).
        task: with the labels that the head has.
    """
    tables = [_encode(ref, table, task, recipe, tokenizer) for ref, table in examples]
    return pa.concat_tables(_numbered_on(tables))


def _key(refs: Sequence[DataRef], task: Task, recipe: Recipe, tokenizer: "PreTrainedTokenizerFast") -> str:
    content = tokenizer.backend_tokenizer.to_str()
    return digest(
        {
            "task": [task.name, task.version, list(task.labels)],
            "data": [[ref.language, ref.identity] for ref in refs],
            "lengths": vars(Lengths.of(recipe)),
            "subset": _drawn_by(recipe),
            "tokenizer": hashlib.sha256(content.encode()).hexdigest(),
        }
    )


def subset(examples: pa.Table, recipe: Recipe) -> pa.Table:
    """The examples that `max_examples` and `subset` leave, in their order.

    A random subset is the first N of a permutation that depends on the seed and on the number of examples alone: larger
    subsets hold smaller ones, and translations of one training set, which have as many examples, give the same ones.
    """
    count = recipe.max_examples
    if count is None or count >= examples.num_rows:
        return examples
    if recipe.subset == "first":
        return examples.slice(0, count)
    order = np.random.default_rng((recipe.seed_of("data"), _DRAW)).permutation(examples.num_rows)
    return examples.take(np.sort(order[:count]))


def _drawn_by(recipe: Recipe) -> list[int | str | None] | None:
    if recipe.max_examples is None:
        return None
    return [recipe.max_examples, recipe.subset, recipe.seed_of("data") if recipe.subset == "random" else None]


def _encode(
    ref: DataRef, examples: pa.Table, task: Task, recipe: Recipe, tokenizer: "PreTrainedTokenizerFast"
) -> pa.Table:
    examples = subset(examples, recipe)
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
