"""The table `selection`: what it costs to choose a checkpoint by English dev data instead of each language's own data.

Keung et al. 2020 (arXiv:2004.15001) showed that English dev scores often say little about other languages. With
`curves:` in an experiment, every checkpoint that is evaluated on English dev is evaluated in the target languages, too.
The table compares the checkpoint with the best English dev score with an oracle, which chooses the best checkpoint for
each language.

If the curves are of dev and test data, the oracle chooses on dev and is reported on test, as in the paper. If they are
of one split only, the oracle chooses and is reported on the same examples, and the cost is an upper bound.

In every column of scores, the row `mean` is the plain mean of the rows of the languages.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import pyarrow as pa

from stilts.results.learning.stages import TARGET, UsedStage
from stilts.results.scores import MEAN, SPREAD_PARTS, spread_columns
from stilts.results.table import STATUSES
from stilts.statistics.spread import spread

ENGLISH = "en"
OK, NO_CURVES, LAST_WEIGHTS = "ok", "no language curves", "last weights"
_WORST_FIRST = (*STATUSES[:-1], LAST_WEIGHTS, NO_CURVES, OK)

SCORES = ("best_dev", "last", "oracle", "shared")
STEPS = ("best_dev_step", "oracle_step", "shared_step")
DIFFERENCES = {"cost": ("oracle", "best_dev"), "shared_cost": ("shared", "best_dev"), "gain": ("best_dev", "last")}
"""Name of each difference between two scores -> (score, score that is subtracted)."""

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "intermediate", "target")),
        ("seed", pa.int64()),
        *((name, pa.string()) for name in ("language", "split", "chosen_on", "status")),
        *((name, pa.int64()) for name in ("planned", "n", "checkpoints", "steps")),
        *((name, pa.float64()) for name in (*STEPS, *SCORES)),
        *((f"{name}{part}", pa.float64()) for name in DIFFERENCES for part in SPREAD_PARTS),
    ]
)
"""Schema of the table `selection`: one row per model, intermediate, target, language and seed, and one over seeds, in
which `seed` is null.

- language: `mean` in rows of the mean over languages. The row `en` on `dev` holds the English dev score by which the
  checkpoint is chosen; it has no oracle.
- best_dev, last, oracle, shared: main metric in percent on `split`, at one of four checkpoints: the best on English
  dev; the last; the best for this language; the best for the mean over languages. The last two are chosen on the split
  `chosen_on`.
- cost = oracle - best_dev, shared_cost = shared - best_dev, gain = best_dev - last.
- checkpoints, steps: number of evaluated checkpoints, and of optimizer steps.
- status: `ok`, `no language curves`, `last weights` (the stage had no dev evaluations and kept its last weights), or
  the status of the stage.

Rows over seeds hold means over the n of planned seeds that have scores, the standard deviation and 95 % interval
(Student's t) of the differences, and the worst status of the seeds."""

Row = dict[str, Any]
Scored = Mapping[str, Sequence[float]]
"""Language -> score at each checkpoint."""


def selection_table(stages: Iterable[UsedStage]) -> pa.Table:
    """Compute the table `selection`.

    Targets that train one stage per language are left out, because they have no common checkpoint to choose.

    Returns:
        A table with the schema `SCHEMA`: for each model, regime and target the rows over seeds, then those of the
        seeds.
    """
    groups: dict[tuple[str, str | None, str | None], list[UsedStage]] = {}
    for stage in stages:
        if stage.role == TARGET and stage.alone:
            groups.setdefault((stage.model, stage.intermediate, stage.target), []).append(stage)
    rows = [row for found in groups.values() for row in _rows(found)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _rows(stages: Sequence[UsedStage]) -> Iterator[Row]:
    """The rows over seeds and of each seed of one target. All seeds have the same splits and languages as rows."""
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
    """The row of the English dev score."""
    row = {"language": ENGLISH, "split": "dev", "chosen_on": "dev"}
    curve = [] if stage.record is None else stage.record["dev"]["curve"]
    if stage.record is None or not curve:
        return {**row, "status": _ended(stage)}
    best = _chosen(stage.record)
    scores = {"best_dev": curve[best][1], "last": curve[-1][1]}
    return {**row, "status": OK, "checkpoints": len(curve), "best_dev_step": float(curve[best][0]), **scores}


def _ended(stage: UsedStage) -> str:
    """The status of a stage that has no curves in the target languages."""
    if stage.record is None:
        return stage.status
    return NO_CURVES if stage.record["dev"]["curve"] else LAST_WEIGHTS


def _chosen(record: Mapping[str, Any]) -> int:
    """Index of the checkpoint that was chosen by English dev."""
    steps = [step for step, _ in record["dev"]["curve"]]
    return steps.index(record["train"]["best_step"])


def _wanted(stages: Sequence[UsedStage]) -> dict[str, dict[str, None]]:
    """Split -> languages for which at least one seed has a curve; `dev` without languages if no seed has one."""
    wanted: dict[str, dict[str, None]] = {}
    for stage in stages:
        for split, scored in _scored(stage).items():
            wanted.setdefault(split, {}).update(dict.fromkeys(scored))
    return wanted or {"dev": {}}


def _scored(stage: UsedStage) -> Mapping[str, Scored]:
    """Scores in the target languages by split. Empty unless every checkpoint has them.

    A stage that was started without `curves:` and resumed with them has scores for the later checkpoints only.
    """
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
        # A seed with curves in only some of the languages would have a mean that cannot be compared.
        if stage.record is None or not reported or reported.keys() != languages.keys():
            for language in (MEAN, *languages):
                yield {"language": language, "split": split, "status": _ended(stage)}
            continue
        chosen_on = "dev" if set(scored.get("dev", ())) == set(reported) else split
        yield from _choices(stage.record, reported, scored[chosen_on], {"split": split, "chosen_on": chosen_on})


def _choices(record: Mapping[str, Any], reported: Scored, chosen_on: Scored, place: Mapping[str, str]) -> Iterator[Row]:
    """The row of the mean over languages, then the row of each language."""
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
    """Index of the best value. Of equal values the first is taken, as in the selection of weights during training."""
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
        over |= spread_columns(name, spread([row[name] for row in ok if row[name] is not None]))
    return over
