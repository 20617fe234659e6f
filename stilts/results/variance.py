"""The table `variance`: how far the scores of different seeds lie apart, and which source of randomness causes it.

The sources are told apart where their seeds repeat and combine (`statistics/components.py` has the model):

- **Phases**: the seed of the intermediate stages and that of the target stage, with `intermediate_seeds: crossed`.
- **Parts of the seed** (order, head, dropout, data), with lists of `seed_parts` in which the seeds of a part repeat.
  Parts whose seeds are different in every run belong to the residual.

Where one source alone varies, the standard deviation of the scores is that source's.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.experiment.recipe import SEED_PARTS
from stilts.results.aggregate import row_order, splits, targets
from stilts.results.scores import (
    ModelRegime,
    Score,
    average_scores,
    averaged_targets,
    averages_of,
    distinct,
    spread_of,
    task_scores,
)
from stilts.results.table import CLEAN, SeedsOfParts, benchmark_of, seed_parts_of
from stilts.statistics.components import RESIDUAL, components, share_intervals, shares
from stilts.statistics.intervals import sd_interval

PHASES = ("intermediate", "target")

PARTS = (*PHASES, *SEED_PARTS, RESIDUAL)
"""All that a share can be of; `RESIDUAL` is the last."""

VARIANCE = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "model", "intermediate", "column", "varied")),
        *((name, pa.int64()) for name in ("intermediate_seeds", "target_seeds", "planned", "n")),
        *((f"total_sd{end}", pa.float64()) for end in ("", "_low", "_high")),
        *((f"{part}_sd", pa.float64()) for part in PARTS),
        *((f"{part}_share{end}", pa.float64()) for part in PARTS for end in ("", "_low", "_high")),
        ("note", pa.string()),
    ],
    metadata={"stilts.variance": "2"},
)
"""Schema of the table `variance`: one row per split, model, intermediate and column, on the clean data.

- column: a target, or an average over targets.
- varied: the parts of the seed that are not the same in all runs, separated by commas; null if all runs have the same.
- intermediate_seeds, target_seeds: number of different seeds of the stages before the target stage and of the target
  stage; 0 if no stage of this phase depends on a cell's seed.
- planned, n: number of planned scores, and of those that exist.
- total_sd: standard deviation between runs, in points. If sources are separated, the root of the sum of their
  variances; otherwise the standard deviation of the scores, with its 95 % interval.
- ..._sd: the source's part of it, in points. A negative estimate of a variance counts as 0.
- ..._share, ..._share_low, ..._share_high: share of the variance in percent, and its 95 % interval.
- note: negative estimates and missing scores. If the seeds cannot separate the sources, these are null and note says
  why.
"""

Pair = tuple[int | None, int]
"""(seed of the intermediate stages, seed of the target stage)"""


def variance_table(results: pa.Table) -> pa.Table:
    """Compute the table `variance` (schema VARIANCE) from the table `results`."""
    records, seed_parts = [], seed_parts_of(results)
    for split in splits(results):
        rows = results.filter((pc.field("split") == split) & (pc.field("condition") == CLEAN)).to_pylist()
        cells = _cells(rows, results)
        for row in row_order(rows):
            for column in [*targets(results, split), *averages_of(benchmark_of(results))]:
                if (row, column) in cells:
                    record = {"split": split, "model": row[0], "intermediate": row[1], "column": column}
                    records.append(record | _decompose(cells[row, column], seed_parts))
    return pa.Table.from_pylist(records, schema=VARIANCE)


def _cells(rows: Sequence[Mapping[str, Any]], results: pa.Table) -> dict[tuple[ModelRegime, str], dict[Pair, Score]]:
    """The score of every pair of seeds, by (model, regime) and column."""
    benchmark = benchmark_of(results)
    official = averaged_targets(rows, benchmark)
    cells: dict[tuple[ModelRegime, str], dict[Pair, Score]] = {}
    for first in dict.fromkeys(row["intermediate_seed"] for row in rows):
        scores = task_scores([row for row in rows if row["intermediate_seed"] == first], benchmark)
        averages = average_scores({key: found for key, found in scores.items() if key[1] in official}, benchmark)
        for key, by_seed in (scores | averages).items():
            cells.setdefault(key, {}).update({(first, seed): score for seed, score in by_seed.items()})
    return cells


def _decompose(cells: Mapping[Pair, Score], seed_parts: SeedsOfParts) -> dict[str, Any]:
    """The columns of VARIANCE from `varied` onwards."""
    observations = distinct(dict(enumerate(cells.values())))
    score = spread_of(observations)
    firsts, seconds = _seeds(cells)
    record: dict[str, Any] = {
        "intermediate_seeds": len(firsts),
        "target_seeds": len(seconds),
        "planned": len(observations),
        "n": 0 if score is None else score.n,
        "total_sd": None if score is None else score.sd,
    }
    parts = _part_levels(cells, seed_parts, by_target=bool(seconds))
    varied = [part for part, levels in parts.items() if len(set(levels.values())) > 1]
    record["varied"] = ", ".join(varied) or None
    why = _confounded(len(firsts), len(seconds), len(cells))
    if why is None:
        phases = {phase: {pair: pair[i] or 0 for pair in cells} for i, phase in enumerate(PHASES)}
        return record | _components_of(cells, phases, [])
    repeated = [part for part in varied if len(set(parts[part].values())) < len(parts[part])]
    if repeated:
        others = [part for part in varied if part not in repeated]
        told = _components_of(cells, {part: parts[part] for part in repeated}, others)
        return record | told | {"note": _joined([why, told["note"]])}
    interval = None if score is None else sd_interval(score)
    if interval is not None:
        record |= {"total_sd_low": interval[0], "total_sd_high": interval[1]}
    return record | {"note": _joined([why, _together(varied)])}


def _seeds(cells: Mapping[Pair, Score]) -> tuple[list[int], list[int]]:
    """(intermediate seeds, target seeds); the list of a phase is empty if none of its stages depends on a seed.

    Retrieval evaluates the last stage before the target stage, so that different target seeds then share their stage.
    """
    firsts = sorted({first for first, _ in cells if first is not None})
    seconds = sorted({second for _, second in cells})
    by_first = {(first, score.stages) for (first, _), score in cells.items()}
    return firsts, seconds if len(cells) == len(firsts) or len(by_first) > max(len(firsts), 1) else []


def _part_levels(cells: Mapping[Pair, Score], seed_parts: SeedsOfParts, by_target: bool) -> dict[str, dict[Pair, int]]:
    """Part -> its seed in every run. Pairs of seeds that share their artifacts are one run, of the first pair.

    Args:
        by_target: the seed of the target stage is the cell's; otherwise that of the intermediate stages.
    """
    runs: dict[frozenset[str], Pair] = {}
    for pair, score in cells.items():
        runs.setdefault(score.stages, pair)
    seeds = {pair: pair[1] if by_target or pair[0] is None else pair[0] for pair in runs.values()}
    return {
        part: {pair: seed_parts.get(seed, {}).get(part, seed) for pair, seed in seeds.items()} for part in SEED_PARTS
    }


def _confounded(firsts: int, seconds: int, pairs: int) -> str | None:
    """Why the seeds cannot separate the two phases; None if they can.

    Args:
        firsts, seconds: number of intermediate seeds and of target seeds.
        pairs: number of planned pairs of them.
    """
    if not firsts:
        return "no intermediate seed: the target's alone varies" if seconds else "one artifact: nothing varies"
    if not seconds:
        return "no target stage: the intermediate's seed alone varies"
    if pairs == 1:
        return "one seed"
    if firsts == 1:
        return f"shared intermediate: the target's seed alone varies; {_REMEDY}"
    return f"each seed has its own intermediate: the phases are mixed; {_REMEDY}" if pairs == firsts else None


_REMEDY = "intermediate_seeds: crossed would tell the phases apart"


def _together(varied: Sequence[str]) -> str | None:
    """What to do where `seed_parts` fixes some parts, and the others vary together."""
    if not 1 < len(varied) < len(SEED_PARTS):
        return None
    return f"{' and '.join(varied)} vary together: lists of seed_parts in which seeds repeat would tell them apart"


def _components_of(
    cells: Mapping[Pair, Score], factors: Mapping[str, Mapping[Pair, int]], others: Sequence[str]
) -> dict[str, Any]:
    """Standard deviations and shares of the factors and of the residual, with their intervals, and a note.

    Args:
        factors: factor -> its level in every run.
        others: parts of the seed that are different in every run.
    """
    runs = list(next(iter(factors.values())))
    there = {pair: value for pair in runs if (value := cells[pair].value) is not None}
    values, levels = list(there.values()), {name: [of[pair] for pair in there] for name, of in factors.items()}
    lacking = len(runs) - len(there)
    missing = f"{lacking} of {len(runs)} scores are missing"
    variances = components(values, levels)
    if variances is None:
        reason = f"{missing}: too few" if lacking else f"the seeds of {' and '.join(factors)} do not combine enough"
        return {"note": f"{reason} to tell the parts apart"}
    positive = {part: max(value, 0.0) for part, value in variances.items()}
    record: dict[str, Any] = {"total_sd": math.sqrt(sum(positive.values()))}
    record |= {f"{part}_sd": math.sqrt(value) for part, value in positive.items()}
    record |= {f"{part}_share": share for part, share in shares(variances).items()}
    intervals = share_intervals(values, levels)
    for part, (low, high) in intervals.items():
        record |= {f"{part}_share_low": low, f"{part}_share_high": high}
    notes = [f"estimate of {part} below 0" for part, value in variances.items() if value < 0]
    if others:
        notes.append(f"the residual includes {' and '.join(others)}")
    if lacking:
        notes.append(missing if intervals else f"{missing}: too few for intervals")
    return record | {"note": _joined(notes)}


def _joined(notes: Iterable[str | None]) -> str | None:
    return "; ".join(note for note in notes if note) or None
