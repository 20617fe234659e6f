"""Selection: what it costs to choose a checkpoint by English dev data, against an oracle that knows each language.

Keung et al. 2020 (arXiv:2004.15001) showed that English dev scores often tell little of other languages. Here every
checkpoint at which English dev was evaluated has its score in the target languages too (`curves:` of the experiment).
Where those are of dev and test, the oracle chooses on dev and is reported on test, as in that paper; where they are of
one split alone, it chooses and is reported on the same examples, and what it gains is an upper bound.

Invariant: in every column of scores `mean` is the plain mean of the language rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import pyarrow as pa

from stilts.results.learning.stages import TARGET, UsedStage
from stilts.results.scores import MEAN
from stilts.results.table import STATUSES
from stilts.statistics.intervals import t_interval
from stilts.statistics.spread import spread

ENGLISH = "en"
OK, NO_CURVES, LAST_WEIGHTS = "ok", "no language curves", "last weights"
_WORST_FIRST = (*STATUSES[:-1], LAST_WEIGHTS, NO_CURVES, OK)

SCORES = ("best_dev", "last", "oracle", "shared")
STEPS = ("best_dev_step", "oracle_step", "shared_step")
DIFFERENCES = {"cost": ("oracle", "best_dev"), "shared_cost": ("shared", "best_dev"), "gain": ("best_dev", "last")}
"""What is said over seeds: the first score less the second."""

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "intermediate", "target")),
        ("seed", pa.int64()),
        *((name, pa.string()) for name in ("language", "split", "chosen_on", "status")),
        *((name, pa.int64()) for name in ("planned", "n", "checkpoints", "steps")),
        *((name, pa.float64()) for name in (*STEPS, *SCORES)),
        *((f"{name}{part}", pa.float64()) for name in DIFFERENCES for part in ("", "_sd", "_low", "_high")),
    ]
)
"""A row per model, regime, target, seed and language, and one over seeds, whose `seed` is null.

Scores are the main number in percent on `split`, at the checkpoint chosen: `best_dev` by English dev; `last`, the last
one; `oracle` by this language's own data of the split `chosen_on`; `shared` by the mean over languages of that data,
one checkpoint for all of them. `cost` = oracle - best_dev, `shared_cost` = shared - best_dev, `gain` = best_dev - last.
`language` is `mean` for the mean over languages, and `en` for the English dev score itself, which has no oracle but
itself (null).

`status`: `ok`, `no language curves`, `last weights` (trained without dev evaluations), or what became of the stage.
Over seeds: means, SD and 95 % Student-t intervals of the differences over the `n` of `planned` seeds that have numbers;
`status` is then the worst of theirs."""

Row = dict[str, Any]
Scored = Mapping[str, Sequence[float]]
"""Language -> its score at each checkpoint."""


def selection_table(stages: Iterable[UsedStage]) -> pa.Table:
    """What the choice by English dev costs each target.

    Targets that train one stage for each language are left out: there is no one checkpoint to choose.

    Returns:
        A table of `SCHEMA`: for each model, regime and target the rows over seeds, then those of each seed.
    """
    groups: dict[tuple[str, str | None, str | None], list[UsedStage]] = {}
    for stage in stages:
        if stage.role == TARGET and stage.alone:
            groups.setdefault((stage.model, stage.intermediate, stage.target), []).append(stage)
    rows = [row for found in groups.values() for row in _rows(found)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _rows(stages: Sequence[UsedStage]) -> Iterator[Row]:
    """Of the seeds of one target: every seed has the same languages and splits, with numbers or without."""
    by_seed = [row for stage in stages for row in _seed(stage, stages)]
    places = dict.fromkeys((row["split"], row["language"]) for row in by_seed)
    for split, language in places:
        yield _over_seeds([row for row in by_seed if (row["split"], row["language"]) == (split, language)])
    yield from by_seed


def _seed(stage: UsedStage, stages: Sequence[UsedStage]) -> Iterator[Row]:
    place = {"model": stage.model, "intermediate": stage.intermediate, "target": stage.target, "seed": stage.seed}
    if stage.record is not None:
        place["steps"] = stage.record["train"]["steps"]
    for row in (_english(stage), *_languages(stage, _wanted(stages))):
        row |= {name: _less(row, *pair) for name, pair in DIFFERENCES.items()}
        yield {**place, "planned": 1, "n": int(row["status"] == OK), **row}


def _less(row: Row, first: str, second: str) -> float | None:
    values = row.get(first), row.get(second)
    return None if values[0] is None or values[1] is None else values[0] - values[1]


def _english(stage: UsedStage) -> Row:
    """The English dev score itself."""
    row = {"language": ENGLISH, "split": "dev", "chosen_on": "dev"}
    curve = [] if stage.record is None else stage.record["dev"]["curve"]
    if stage.record is None or not curve:
        return {**row, "status": _ended(stage)}
    best = _chosen(stage.record)
    scores = {"best_dev": curve[best][1], "last": curve[-1][1]}
    return {**row, "status": OK, "checkpoints": len(curve), "best_dev_step": float(curve[best][0]), **scores}


def _ended(stage: UsedStage) -> str:
    """Why a stage has no curves."""
    if stage.record is None:
        return stage.status
    return NO_CURVES if stage.record["dev"]["curve"] else LAST_WEIGHTS


def _chosen(record: Mapping[str, Any]) -> int:
    """Position of the checkpoint that English dev chose."""
    steps = [step for step, _ in record["dev"]["curve"]]
    return steps.index(record["train"]["best_step"])


def _wanted(stages: Sequence[UsedStage]) -> dict[str, dict[str, None]]:
    """Splits, and the languages on each, that any seed has curves of; dev, and none, where no seed has."""
    wanted: dict[str, dict[str, None]] = {}
    for stage in stages:
        for split, scored in _scored(stage).items():
            wanted.setdefault(split, {}).update(dict.fromkeys(scored))
    return wanted or {"dev": {}}


def _scored(stage: UsedStage) -> Mapping[str, Scored]:
    """By split; nothing where a checkpoint has no scores, as after a run that began without them."""
    watched = None if stage.record is None else stage.record["dev"].get("languages")
    if stage.record is None or watched is None:
        return {}
    if [step for step, _ in watched["curve"]] != [step for step, _ in stage.record["dev"]["curve"]]:
        return {}
    scored: dict[str, dict[str, list[float]]] = {}
    for position, what in enumerate(watched["watched"]):
        if what["task"] == stage.task:
            values = [scores[position] for _, scores in watched["curve"]]
            scored.setdefault(what["split"], {})[what["language"]] = values
    return scored


def _languages(stage: UsedStage, wanted: Mapping[str, Mapping[str, None]]) -> Iterator[Row]:
    scored = _scored(stage)
    for split, languages in wanted.items():
        reported = scored.get(split, {})
        # Of some of the languages alone, it would have another mean.
        if stage.record is None or not reported or reported.keys() != languages.keys():
            for language in (MEAN, *languages):
                yield {"language": language, "split": split, "status": _ended(stage)}
            continue
        chosen_on = "dev" if set(scored.get("dev", ())) == set(reported) else split
        yield from _choices(stage.record, reported, scored[chosen_on], {"split": split, "chosen_on": chosen_on})


def _choices(record: Mapping[str, Any], reported: Scored, chosen_on: Scored, place: Mapping[str, str]) -> Iterator[Row]:
    """The mean, then each language."""
    steps = [step for step, _ in record["dev"]["curve"]]
    english, shared = _chosen(record), _first_best([fmean(values) for values in zip(*chosen_on.values(), strict=True)])
    common = {
        **place,
        "status": OK,
        "checkpoints": len(steps),
        "best_dev_step": float(steps[english]),
        "shared_step": float(steps[shared]),
    }
    rows: list[Row] = []
    for language, values in reported.items():
        own = _first_best(chosen_on[language])
        scores = {
            "best_dev": values[english], "last": values[-1], "oracle": values[own], "shared": values[shared]
        }  # fmt: skip
        rows.append({**common, "language": language, "oracle_step": float(steps[own]), **scores})
    yield {**common, "language": MEAN, **{name: fmean(row[name] for row in rows) for name in SCORES}}
    yield from rows


def _first_best(values: Sequence[float]) -> int:
    """The first of the best, as the selection of weights takes it."""
    return values.index(max(values))


def _over_seeds(rows: Sequence[Row]) -> Row:
    ok = [row for row in rows if row["status"] == OK]
    over: Row = {name: rows[0][name] for name in ("model", "intermediate", "target", "language", "split")}
    over |= {"planned": len(rows), "n": len(ok), "status": min((r["status"] for r in rows), key=_WORST_FIRST.index)}
    if not ok:
        return over
    for name in ("chosen_on", "checkpoints", "steps"):
        found = {row.get(name) for row in ok}
        over[name] = found.pop() if len(found) == 1 else None
    for name in (*STEPS, *SCORES):
        values = [row[name] for row in ok if row.get(name) is not None]
        over[name] = fmean(values) if values else None
    for name in DIFFERENCES:
        over |= _numbers(name, [row[name] for row in ok if row[name] is not None])
    return over


def _numbers(name: str, values: Sequence[float]) -> Row:
    found = spread(values)
    if found is None:
        return {}
    low, high = t_interval(found) or (None, None)
    return {name: found.mean, f"{name}_sd": found.sd, f"{name}_low": low, f"{name}_high": high}
