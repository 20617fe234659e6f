"""Encode: tokenize the training data of a stage to features.

The features are cached in a file whose name contains a digest of everything that determines them.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.experiment.recipe import Recipe
from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT, DataRef
from stilts.tasks.base import Task
from stilts.tasks.families import Lengths, get_family

_DRAW = 18
"""Part of the random seed of a subset, which makes it independent of other uses of the seed, such as data order."""

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def features_path(refs: Sequence[DataRef], task: Task, recipe: Recipe, tokenizer: "PreTrainedTokenizerFast") -> str:
    """Path of the features' Arrow file, relative to the store: `features/TASK-DIGEST.arrow`.

    The digest covers data, lengths, subset, labels and tokenizer, so that equal paths have equal contents.
    """
    return f"features/{task.name}-{_key(refs, task, recipe, tokenizer)[:SHORT]}.arrow"


def training_features(
    examples: Sequence[tuple[DataRef, pa.Table]], task: Task, recipe: Recipe, tokenizer: "PreTrainedTokenizerFast"
) -> pa.Table:
    """Tokenize training examples to features (see `tasks/families/base.py`), with a `language` column.

    Items and examples are numbered consecutively over all tables, so that those of different tables stay distinct.

    Args:
        examples: canonical tables, one per language; for a union of tasks, one per language and task. From each, the
            examples are taken that `subset` selects.
        task: the task, with the labels of the head.
    """
    tables = [_encode(ref, table, task, recipe, tokenizer) for ref, table in examples]
    return pa.concat_tables(_numbered_on(tables))


def tokenizer_digest(tokenizer: "PreTrainedTokenizerFast") -> str:
    """sha256 (64 hex digits) over the content of a tokenizer. It is computed once for each object."""
    if tokenizer not in _TOKENIZERS:
        _TOKENIZERS[tokenizer] = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    return _TOKENIZERS[tokenizer]


_TOKENIZERS: WeakKeyDictionary["PreTrainedTokenizerFast", str] = WeakKeyDictionary()


def _key(refs: Sequence[DataRef], task: Task, recipe: Recipe, tokenizer: "PreTrainedTokenizerFast") -> str:
    return digest(
        {
            "task": [task.name, task.version, list(task.labels)],
            "data": [[ref.language, ref.identity] for ref in refs],
            "lengths": vars(Lengths.of(recipe)),
            "subset": _drawn_by(recipe),
            "tokenizer": tokenizer_digest(tokenizer),
        }
    )


def subset(examples: pa.Table, recipe: Recipe) -> pa.Table:
    """Select at most `recipe.max_examples` examples; their order is kept.

    A random subset consists of the first N indices of a permutation that depends only on the seed and the number of
    examples. Therefore a larger subset contains every smaller one, and translations of one training set, which have the
    same number of examples, give the same subset.
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
    """Renumber the items and examples of each table, so that they continue those of the table before it."""
    found = list(tables)
    for name in ("item", "example"):
        taken = 0
        for i, table in enumerate(found):
            numbers = pc.add(table[name], pa.scalar(taken, pa.int32()))
            found[i] = table.set_column(table.schema.get_field_index(name), name, numbers)
            taken = pc.max(numbers).as_py() + 1 if table.num_rows else taken
    return found
