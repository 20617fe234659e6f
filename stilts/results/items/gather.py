"""Builds the table of differences over test items from an expansion and its store.

Evaluations on the same examples form a group. A group is read, resampled and released before the next one is read, so
that memory is bounded by the counts of one language of one task, and each prediction file is read once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stilts.errors import StiltsError
from stilts.evaluate.predictions import read_predictions as parse_predictions
from stilts.identity.stage import SHORT, EvaluationSpec
from stilts.ledger.data import read_examples
from stilts.ledger.record import read_evaluation, read_predictions, take_inventory
from stilts.plan.expand import Expansion
from stilts.results.gather import cell_sources
from stilts.results.items.bootstrap import difference, resample
from stilts.results.items.counts import Counts, Items, items_of
from stilts.results.items.kept import Kept
from stilts.results.items.keys import Keys, item_keys
from stilts.results.items.table import SCHEMA
from stilts.results.scores import MEAN
from stilts.results.seed_statistics import Options
from stilts.results.table import CellSource, independent
from stilts.statistics.compare import holm
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store, Unreachable
from stilts.tasks.base import Task, get_task
from stilts.tasks.score import needs_labels

Where = tuple[str, str]
"""NAME of a stage, path of one of its evaluations."""


@dataclass(frozen=True)
class Comparison:
    """One regime compared with the baseline in one language.

    Attributes:
        pairs: (the regime's evaluation, the baseline's) -> seed. Seeds that share both artifacts are one pair.
    """

    split: str
    target: str
    model: str
    intermediate: str
    language: str
    pairs: dict[tuple[Where, Where], int] = field(default_factory=dict, hash=False, compare=False)


@dataclass
class Group:
    """The evaluations on one set of examples, and the comparisons that need them.

    Attributes:
        spec: any one of the evaluations.
        wanted: the evaluations that the store has.
    """

    spec: EvaluationSpec
    wanted: dict[Where, EvaluationSpec] = field(default_factory=dict)
    comparisons: dict[Comparison, None] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """The result of a comparison.

    Attributes:
        differences: points averaged over the paired seeds, float64 [1 + resamples] (see `bootstrap.resample`); None
            if no seed has both predictions.
        keys: the keys of the different items that were resampled; None if the items could not be read.
        seeds: those that have both predictions.
        note: what is missing, and why; None if nothing is.
    """

    differences: NDArray[np.float64] | None
    keys: Keys | None
    seeds: tuple[int, ...]
    note: str | None


Shown = Callable[[Sequence[Group]], Iterable[Group]]
"""Wraps the loop over the groups, to show progress."""


def items_table(
    expansion: Expansion, store: Store, options: Options, shown: Shown = iter, kept: Kept | None = None
) -> pa.Table:
    """The difference of every regime to the baseline in every language of clean data, tested over test items.

    Args:
        shown: see `Shown`.
        kept: the counts that earlier calls have kept; they are read instead of being counted again.

    Returns:
        A table of `SCHEMA`, in the order of the cells.

    Raises:
        Unreachable: the store cannot be read now. Whatever else is missing is said in the table's notes.
    """
    inventory = take_inventory(store, {key[:SHORT] for key in expansion.graph.nodes})
    cells = independent(
        cell_sources(expansion, inventory),
        lambda cell: (cell.model, cell.intermediate, cell.target, cell.seed, cell.intermediate_seed),
    )
    held = {(artifact.name, path) for artifact in inventory.values() for path in artifact.evaluations}
    groups, planned = _plan(cells, options.baseline, held)
    found: dict[Comparison, Found] = {}
    for group in shown([group for group in groups if group.wanted]):
        found |= compare(store, group, kept)
    nothing = Found(None, None, (), "not predicted")
    rows = [(comparison, found.get(comparison, nothing)) for comparison in planned]
    return _table([*rows, *means_over_languages(rows)], options.baseline)


# --- planning the comparisons


def _plan(cells: Sequence[CellSource], baseline: str, held: set[Where]) -> tuple[list[Group], list[Comparison]]:
    """The groups, and all comparisons in the order of the cells.

    Args:
        held: the evaluations that the store has.
    """
    theirs: dict[tuple[Any, ...], Where] = {}
    for cell, spec in _clean(cells):
        if cell.intermediate == baseline:
            theirs[_place(cell, spec)] = (cell.stage, spec.path)
    groups: dict[tuple[Any, ...], Group] = {}
    planned: dict[Comparison, Comparison] = {}
    for cell, spec in _clean(cells):
        other = theirs.get(_place(cell, spec))
        if cell.intermediate == baseline or other is None:
            continue
        new = Comparison(spec.split, cell.target, cell.model, cell.intermediate, spec.language)
        comparison = planned.setdefault(new, new)
        comparison.pairs.setdefault(((cell.stage, spec.path), other), cell.seed)
        key = (spec.task, spec.language, spec.data.path, spec.pool and spec.pool.path)
        group = groups.setdefault(key, Group(spec))
        group.comparisons[comparison] = None
        group.wanted |= {where: spec for where in ((cell.stage, spec.path), other) if where in held}
    return list(groups.values()), list(planned)


def _clean(cells: Iterable[CellSource]) -> Iterator[tuple[CellSource, EvaluationSpec]]:
    return ((cell, spec) for cell in cells for spec in cell.evaluations if spec.condition is None)


def _place(cell: CellSource, spec: EvaluationSpec) -> tuple[Any, ...]:
    """The properties that two evaluations must share to be compared."""
    return cell.model, cell.target, cell.seed, spec.split, spec.language, spec.data.path


# --- comparing


def compare(store: Store, group: Group, kept: Kept | None = None) -> dict[Comparison, Found]:
    """The results of all comparisons of a group."""
    task = _with_labels(store, group)
    kept = None if needs_labels(get_task(group.spec.task)) else kept
    try:
        known = _items(store, group.spec, task)
    except Unreachable:
        raise
    except (StiltsError, ValueError) as error:
        return {comparison: Found(None, None, (), str(error)) for comparison in group.comparisons}
    if known is None:
        return {comparison: Found(None, None, (), "no gold") for comparison in group.comparisons}
    items, keys = known
    counts, reasons = _read(store, group, items, kept)
    scores = np.empty((0, 0))
    if counts:
        parallel = get_task(group.spec.task).parallel
        scores = resample(np.stack(list(counts.values())), items.score, keys, parallel)
    columns = dict(zip(counts, scores.T, strict=True))
    return {comparison: _paired(comparison, columns, reasons, keys) for comparison in group.comparisons}


def _with_labels(store: Store, group: Group) -> Task:
    """The task of a group; with the labels of the evaluated heads, if predictions cannot be scored without them."""
    task = get_task(group.spec.task)
    if not needs_labels(task):
        return task
    records = parallel_map(store, lambda entry: read_evaluation(store, entry[0][0], entry[1]), group.wanted.items())
    labels = {label for record in records if record is not None for label in record.get("labels", ())}
    return replace(task, labels=tuple(sorted(labels)))


def _items(store: Store, spec: EvaluationSpec, task: Task) -> tuple[Items, Keys] | None:
    """The items of an evaluation and their keys; None if the examples carry no gold."""
    pool = None if spec.pool is None else read_examples(store, spec.pool)
    examples = read_examples(store, spec.data)
    items = items_of(task, spec.language, examples, pool)
    return None if items is None else (items, item_keys(task, spec.language, examples, items.size))


def _read(store: Store, group: Group, items: Items, kept: Kept | None) -> tuple[dict[Where, Counts], dict[Where, str]]:
    """The counts of each evaluation that has them, and the reason for each that has none."""
    known = {} if kept is None else kept.read(group.spec)
    answers = parallel_map(store, lambda entry: _count(store, items, known, *entry), group.wanted.items())
    read = dict(zip(group.wanted, answers, strict=True))
    counted = {where: answer for where, answer in read.items() if not isinstance(answer, str)}
    by_file = dict(counted.values())
    if kept is not None and by_file.keys() != known.keys():
        kept.write(group.spec, by_file)
    reasons = {where: answer for where, answer in read.items() if isinstance(answer, str)}
    return {where: counts for where, (_, counts) in counted.items()}, reasons


def _count(
    store: Store, items: Items, known: Mapping[str, Counts], where: Where, spec: EvaluationSpec
) -> tuple[str, Counts] | str:
    """The digest of an evaluation's predictions with their counts, or the reason why there are none."""
    try:
        record = read_evaluation(store, where[0], spec)
        file = "" if record is None else record["predictions"]["sha256"]
        if file in known:
            return file, known[file]
        content = read_predictions(store, where[0], spec)
        return "not predicted" if content is None else (file, items.count(parse_predictions(spec.task, content)))
    except Unreachable:
        raise
    except (StiltsError, ValueError) as error:
        return str(error)


def _paired(
    comparison: Comparison, columns: Mapping[Where, NDArray[np.float64]], reasons: Mapping[Where, str], keys: Keys
) -> Found:
    """The difference averaged over the seeds that have both predictions.

    Args:
        columns: scores of each evaluation on the resamples.
        reasons: why other evaluations have no scores.
    """
    differences, lacking = {}, defaultdict(list)
    for (ours, theirs), seed in comparison.pairs.items():
        if ours in columns and theirs in columns:
            differences[seed] = columns[ours] - columns[theirs]
        else:
            absent = next(where for where in (ours, theirs) if where not in columns)
            lacking[reasons.get(absent, "not predicted")].append(seed)
    if not differences and len(lacking) == 1:
        return Found(None, keys, (), next(iter(lacking)))
    note = "; ".join(f"{why}: seed {', '.join(map(str, seeds))}" for why, seeds in lacking.items())
    averaged = np.mean(list(differences.values()), axis=0) if differences else None
    return Found(averaged, keys, tuple(differences), note or None)


def means_over_languages(rows: Sequence[tuple[Comparison, Found]]) -> Iterator[tuple[Comparison, Found]]:
    """The mean over the languages of each target and regime, where all of them have the same seeds.

    Resample number r of one language and resample number r of another give the same weights to items that are
    translations of each other (see `keys`), so the mean of the two is a resample of one common test set. Items that
    languages share are counted once.
    """
    regimes: dict[Comparison, list[Found]] = defaultdict(list)
    for row, found in rows:
        regimes[Comparison(row.split, row.target, row.model, row.intermediate, MEAN)].append(found)
    for comparison, parts in regimes.items():
        differences = [part.differences for part in parts if part.differences is not None]
        if len(differences) < len(parts):
            reason = f"{len(parts) - len(differences)} of {len(parts)} languages are lacking"
            yield comparison, Found(None, None, (), reason)
        elif len({part.seeds for part in parts}) > 1:
            yield comparison, Found(None, None, (), "the languages have different seeds")
        else:
            keys = np.unique(np.concatenate([part.keys for part in parts if part.keys is not None]))
            yield comparison, Found(np.mean(differences, axis=0), keys, parts[0].seeds, parts[0].note)


def _table(rows: Sequence[tuple[Comparison, Found]], baseline: str) -> pa.Table:
    """SCHEMA of the results, p adjusted over the languages and regimes of a target, and over its means."""
    records = [_record(comparison, found, baseline) for comparison, found in rows]
    families: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        if record["p"] is not None:
            kind = record["language"] == MEAN
            families[record["split"], record["target"], record["model"], kind].append(record)
    for family in families.values():
        for record, adjusted in zip(family, holm([record["p"] for record in family]), strict=True):
            record |= {"p_holm": adjusted, "comparisons": len(family)}
    return pa.Table.from_pylist(records, schema=SCHEMA)


def _record(comparison: Comparison, found: Found, baseline: str) -> dict[str, Any]:
    keys = ("split", "target", "model", "intermediate", "language")
    record = {name: getattr(comparison, name) for name in keys}
    items = None if found.keys is None else len(found.keys)
    record |= {"baseline": baseline, "items": items, "seeds": len(found.seeds), "note": found.note}
    record |= {"planned": len(comparison.pairs), "p": None}
    if found.differences is None or items is None:
        return record
    tested = difference(found.differences, items)
    record |= {"difference": tested.points, "low": tested.low, "high": tested.high, "p": tested.p}
    return record if tested.p is not None or found.note else record | {"note": "no resample changes the difference"}
