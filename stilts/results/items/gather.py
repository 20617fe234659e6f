"""From an expansion and its store to the table of differences over test items.

What is predicted on the same examples is read together, scored on the same draws, and let go before the next: memory
is bounded by one language of one task, and each prediction file is read once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
from stilts.results.items.table import SCHEMA
from stilts.results.options import Options
from stilts.results.scores import MEAN
from stilts.results.table import CellSource, independent
from stilts.statistics.compare import holm
from stilts.storage.parallel import ask_many
from stilts.storage.protocol import Store, Unreachable
from stilts.tasks.base import get_task

Where = tuple[str, str]
"""NAME of a stage, path of one of its evaluations."""


@dataclass(frozen=True)
class Comparison:
    """One regime against the baseline in one language.

    Attributes:
        pairs: (the regime's evaluation, the baseline's) -> seed; seeds that share both artifacts are one pair.
    """

    split: str
    target: str
    model: str
    intermediate: str
    language: str
    pairs: dict[tuple[Where, Where], int] = field(default_factory=dict, hash=False, compare=False)


@dataclass
class Group:
    """What is predicted on the same examples.

    Attributes:
        spec: one of the evaluations.
        wanted: every evaluation that is there.
    """

    spec: EvaluationSpec
    wanted: dict[Where, EvaluationSpec] = field(default_factory=dict)
    comparisons: dict[Comparison, None] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What came of a comparison.

    Attributes:
        draws: difference averaged over the paired seeds, float64 [1 + resamples] (see `bootstrap.resample`); None
            where no seed is paired.
        items: None where they were not read.
        note: what is lacking, and why; None where nothing is.
    """

    draws: NDArray[np.float64] | None
    items: int | None
    seeds: tuple[int, ...]
    note: str | None


Shown = Callable[[Sequence[Group]], Iterable[Group]]


def items_table(
    expansion: Expansion, store: Store, options: Options, shown: Shown = iter, kept: Kept | None = None
) -> pa.Table:
    """The differences of every regime to the baseline in every language of clean data, tested over test items.

    Args:
        shown: wraps the loop over what is read together, to show its progress.
        kept: counts of earlier times, which are not made again.

    Returns:
        A table of `SCHEMA`, in the order of the cells.
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
    return _table([*rows, *_means(rows)], options.baseline)


# --- what is compared


def _plan(cells: Sequence[CellSource], baseline: str, held: set[Where]) -> tuple[list[Group], list[Comparison]]:
    """Groups, and all comparisons in the order of the cells."""
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
    """What two regimes must share to be compared."""
    return cell.model, cell.target, cell.seed, spec.split, spec.language, spec.data.path


# --- what comes of it


def compare(store: Store, group: Group, kept: Kept | None = None) -> dict[Comparison, Found]:
    """Every comparison of a group."""
    try:
        items = _items(store, group.spec)
    except Unreachable:
        raise
    except StiltsError as error:
        return {comparison: Found(None, None, (), str(error)) for comparison in group.comparisons}
    if items is None:
        return {comparison: Found(None, None, (), "no gold") for comparison in group.comparisons}
    counts, reasons = _read(store, group, items, kept)
    scores = resample(np.stack(list(counts.values())), items.score) if counts else np.empty((0, 0))
    columns = dict(zip(counts, scores.T, strict=True))
    return {comparison: _paired(comparison, columns, reasons, items.size) for comparison in group.comparisons}


def _items(store: Store, spec: EvaluationSpec) -> Items | None:
    pool = None if spec.pool is None else read_examples(store, spec.pool)
    return items_of(get_task(spec.task), spec.language, read_examples(store, spec.data), pool)


def _read(store: Store, group: Group, items: Items, kept: Kept | None) -> tuple[dict[Where, Counts], dict[Where, str]]:
    """The counts of each evaluation, or why there are none."""
    known = {} if kept is None else kept.read(group.spec)
    answers = ask_many(store, lambda entry: _count(store, items, known, *entry), group.wanted.items())
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
    """The digest of an evaluation's predictions and their counts, or why there are none."""
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
    comparison: Comparison, columns: Mapping[Where, NDArray[np.float64]], reasons: Mapping[Where, str], items: int
) -> Found:
    differences, lacking = {}, defaultdict(list)
    for (ours, theirs), seed in comparison.pairs.items():
        if ours in columns and theirs in columns:
            differences[seed] = columns[ours] - columns[theirs]
        else:
            absent = next(where for where in (ours, theirs) if where not in columns)
            lacking[reasons.get(absent, "not predicted")].append(seed)
    if not differences and len(lacking) == 1:
        return Found(None, items, (), next(iter(lacking)))
    note = "; ".join(f"{why}: seed {', '.join(map(str, seeds))}" for why, seeds in lacking.items())
    draws = np.mean(list(differences.values()), axis=0) if differences else None
    return Found(draws, items, tuple(differences), note or None)


def _means(rows: Sequence[tuple[Comparison, Found]]) -> Iterator[tuple[Comparison, Found]]:
    """The mean over the languages of each target and regime, of the seeds that all of them have.

    Languages that have as many items are drawn alike (see `resample`), so that translations of one test set (XNLI,
    PAWS-X, XQuAD) are not taken for independent. MLQA's languages, which share some of their questions, are.
    """
    regimes: dict[Comparison, list[Found]] = defaultdict(list)
    for row, found in rows:
        regimes[Comparison(row.split, row.target, row.model, row.intermediate, MEAN)].append(found)
    for comparison, parts in regimes.items():
        draws = [part.draws for part in parts if part.draws is not None]
        items = sum(part.items or 0 for part in parts)
        if len(draws) < len(parts):
            yield comparison, Found(None, None, (), f"{len(parts) - len(draws)} of {len(parts)} languages are lacking")
        elif len({part.seeds for part in parts}) > 1:
            yield comparison, Found(None, None, (), "the languages have different seeds")
        else:
            yield comparison, Found(np.mean(draws, axis=0), items, parts[0].seeds, parts[0].note)


def _table(rows: Sequence[tuple[Comparison, Found]], baseline: str) -> pa.Table:
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
    record |= {"baseline": baseline, "items": found.items, "seeds": len(found.seeds), "note": found.note}
    record |= {"planned": len(comparison.pairs), "p": None}
    if found.draws is None or found.items is None:
        return record
    tested = difference(found.draws, found.items)
    record |= {"difference": tested.points, "low": tested.low, "high": tested.high, "p": tested.p}
    return record if tested.p is not None or found.note else record | {"note": "no draw differs"}
