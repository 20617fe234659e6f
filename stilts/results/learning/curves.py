"""The table `curves`: losses and scores during the training of every stage, read from the stages' records."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import pyarrow as pa

from stilts.results.learning.stages import UsedStage

POINTS = 200
"""Largest number of points of one loss curve."""

LOSS, DEV, LANGUAGE = "loss", "dev", "language"

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "intermediate", "target")),
        ("seed", pa.int64()),
        *((name, pa.string()) for name in ("stage", "role", "series", "split", "language")),
        ("step", pa.int64()),
        ("value", pa.float64()),
        ("steps", pa.int64()),
    ]
)
"""Schema of the table `curves`: one row per point of a curve.

- role: pretrain, intermediate or target. `intermediate` and `target` are null for stages before them. The points of a
  stage that several regimes or targets share are repeated for each of them.
- series: one of
    - `loss`: training loss in nats, the mean over the `steps` optimizer steps that end at `step`. Steps are averaged
      so that a curve has at most POINTS points.
    - `dev`: the dev score by which the weights are selected, in percent. `language` is the language of the dev data;
      null for a mixture of several tasks, for which the score is the mean over tasks.
    - `language`: the target's main metric in percent, in each `language` and `split` that the experiment lists under
      `curves`."""


def curves_table(stages: Iterable[UsedStage]) -> pa.Table:
    """Compute the table `curves` of the stages that are done.

    Returns:
        A table with the schema `SCHEMA`, ordered by stage, series, language and step.
    """
    rows = [row for stage in stages if stage.record is not None for row in _rows(stage, stage.record)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _rows(stage: UsedStage, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names = ("model", "intermediate", "target", "seed", "stage", "role")
    place = {name: getattr(stage, name) for name in names}
    for point in thin(record["train"]["losses"]):
        yield {**place, "series": LOSS, **point}
    split, language = _selected_by(stage)
    for step, value in record["dev"]["curve"]:
        yield {**place, "series": DEV, "split": split, "language": language, "step": step, "value": value}
    watched = record["dev"].get("languages")
    if watched is None or stage.task is None:
        return
    for position, what in enumerate(watched["watched"]):
        if what["task"] == stage.task:
            where = {"split": what["split"], "language": what["language"]}
            for step, scores in watched["curve"]:
                yield {**place, "series": LANGUAGE, **where, "step": step, "value": scores[position]}


def thin(losses: Sequence[tuple[int, float]]) -> Iterator[dict[str, Any]]:
    """Average a loss curve over windows of equal width (the last may be shorter), so that at most POINTS remain."""
    width = -(-len(losses) // POINTS) or 1
    for start in range(0, len(losses), width):
        bucket = losses[start : start + width]
        yield {"step": bucket[-1][0], "value": fmean(value for _, value in bucket), "steps": len(bucket)}


def _selected_by(stage: UsedStage) -> tuple[str, str | None]:
    languages = [part.dev.language for part in stage.spec.parts if part.dev is not None]
    return "dev", languages[0] if len(stage.spec.parts) == 1 and languages else None
