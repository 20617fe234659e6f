"""The trials of a search as a table, and the best recipe as YAML for an experiment (`--with`).

Invariants: the table has one row for every trial, in the order in which they began. `dev` is the final score of a
completed trial and empty for all others; the last score before an early stop is in `last_dev`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import optuna
import pyarrow as pa
from optuna.trial import FrozenTrial, TrialState

from stilts.experiment.load import to_yaml
from stilts.results.table import parquet
from stilts.show.grid import Grid, markdown
from stilts.storage.local import RESULTS, LocalStore

COLUMNS: Mapping[str, pa.DataType] = {
    "trial": pa.int64(),
    "state": pa.string(),
    "dev": pa.float64(),
    "sd": pa.float64(),
    "seeds": pa.int64(),
    "last_dev": pa.float64(),
    "steps": pa.int64(),
    "seconds": pa.float64(),
    "same_as": pa.int64(),
    "message": pa.string(),
    "stages": pa.list_(pa.string()),
}
"""Columns of the table; each tuned field is a further column.

- state: done, stopped (early), diverged, refused (the values contradict each other), failed, running, or waiting
- dev: dev score in percent, mean over the seeds; sd: standard deviation over at least two seeds
- last_dev: dev score of the first seed at step `steps`, its last dev evaluation
- same_as: number of an earlier trial with equal values, from which the results were copied
"""


def trials_table(study: optuna.Study, fields: Sequence[str]) -> pa.Table:
    """The table of all trials of a study: `COLUMNS` and one column per tuned field (`fields`)."""
    trials = study.get_trials(deepcopy=False)
    columns = {name: pa.array([_row(trial)[name] for trial in trials], kind) for name, kind in COLUMNS.items()}
    columns |= {name: pa.array([trial.params.get(name) for trial in trials]) for name in fields}
    return pa.table(columns)


def _row(trial: FrozenTrial) -> dict[str, Any]:
    known = trial.user_attrs
    scores = known.get("scores", []) if trial.state == TrialState.COMPLETE else []
    last = max(trial.intermediate_values, default=None)
    return {
        "trial": trial.number,
        "state": _state(trial),
        "dev": fmean(scores) if scores else None,
        "sd": stdev(scores) if len(scores) > 1 else None,
        "seeds": len(scores),
        "last_dev": None if last is None else trial.intermediate_values[last],
        "steps": last,
        "seconds": known.get("seconds"),
        "same_as": known.get("same_as"),
        "message": known.get("message") or None,
        "stages": known.get("stages", []),
    }


def _state(trial: FrozenTrial) -> str:
    if trial.state in (TrialState.RUNNING, TrialState.WAITING):
        return str(trial.state.name.lower())
    return str(trial.user_attrs.get("ended", "failed"))


def best_recipe(table: pa.Table, patch: Mapping[str, Any], name: str, metric: str) -> str:
    """The best trial's values as YAML for `--with`, with a comment that says how they were chosen.

    Args:
        table: the result of `trials_table`, with at least one completed trial.
        patch: the fields of an experiment that the best trial sets.
        name: name of the search.
        metric: name of the dev score.
    """
    done = [row for row in table.to_pylist() if row["dev"] is not None]
    best = max(done, key=lambda row: row["dev"])
    head = (
        f"# Trial {best['trial']} of the search {name}, the best of {len(done)} that ran to the end ({table.num_rows} "
        f"began):\n# {metric} {best['dev']:.2f} on the English dev set, mean of {best['seeds']} seed(s) of training. "
        f"Chosen for that score, which\n# is therefore too high: compare it with other recipes on other seeds.\n"
    )
    return head + to_yaml(dict(patch))


def write_trials(folder: Path, table: pa.Table, title: str, best: str | None) -> list[Path]:
    """Write trials.parquet, trials.md and, if there is a best recipe, best.yaml; each file is written atomically."""
    files = {"trials.parquet": parquet(table), "trials.md": markdown([trials_grid(table, title)]).encode()}
    if best is not None:
        files["best.yaml"] = best.encode()
    store = LocalStore(folder, RESULTS)
    for name, content in files.items():
        store.write(name, content)
    return [folder / name for name in files]


def trials_grid(table: pa.Table, title: str) -> Grid:
    """The trials as a grid: completed trials first, ordered by dev score, then the others by their number of steps."""
    fields = [name for name in table.column_names if name not in COLUMNS]
    rows = sorted(table.to_pylist(), key=_rank)
    names = ("trial", "state", "dev", "last dev", "steps", *fields)
    return Grid(title, names, tuple(tuple(_text(row, name) for name in names) for row in rows), 2, legend=(_LEGEND,))


_LEGEND = (
    "dev: English dev score (%) of a trial that ran to the end, mean ±SD over seeds; last dev: the score of its first "
    "seed at that step."
)


def _rank(row: Mapping[str, Any]) -> tuple[float, float, float]:
    low = float("-inf")
    return -(low if row["dev"] is None else row["dev"]), -(row["steps"] or 0), -(row["last_dev"] or low)


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row[name.replace(" ", "_")]
    if name == "state":
        return value if row["same_as"] is None else f"{value}, as {row['same_as']}"
    if value is None:
        return "-"
    if name == "dev":
        return f"{value:.2f}" if row["sd"] is None else f"{value:.2f} ±{row['sd']:.2f}"
    if name == "last dev":
        return f"{value:.2f}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
