"""Curves: the loss of every training, and its scores on the way, as the stages' records keep them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import pyarrow as pa

from stilts.results.learning.stages import UsedStage

POINTS = 200
"""Most points of one loss curve."""

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
"""A row per point. `role`: pretrain, intermediate or target; `intermediate` and `target` are null before their stages,
and a stage that several regimes or targets share has its points in each. `series`: `loss`, in nats, the mean of the
`steps` optimizer steps that end at `step`, so many of them that a curve has at most POINTS points; `dev`, percent, by
which the weights are selected, in the `language` of that data (null for a mixture of several tasks, whose plain mean it
is); `language`, percent, the target's main number in each language of the experiment's `curves`, on its `split`."""


def curves_table(stages: Iterable[UsedStage]) -> pa.Table:
    """The curves of every stage that is done.

    Returns:
        A table of `SCHEMA`, in the order of the stages, then series, language and step.
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
    """Means of equally many steps in a row (fewer in the last): at most POINTS."""
    width = -(-len(losses) // POINTS) or 1
    for start in range(0, len(losses), width):
        bucket = losses[start : start + width]
        yield {"step": bucket[-1][0], "value": fmean(value for _, value in bucket), "steps": len(bucket)}


def _selected_by(stage: UsedStage) -> tuple[str, str | None]:
    languages = [part.dev.language for part in stage.spec.parts if part.dev is not None]
    return "dev", languages[0] if len(stage.spec.parts) == 1 and languages else None
