"""The tables `similarity_points` and `similarity`: do gains correlate with the languages' distance to English?

Each point is a language other than English. A correlation that cannot be computed is null, and a note gives the reason.
The intervals treat languages as independent observations. Related languages are not, so the intervals are too narrow.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import log
from typing import Any

import numpy as np
import pyarrow as pa

from stilts.results.scores import MEAN
from stilts.results.similarity.distances import ABSENT, ATTRIBUTION, FEATURES, distances, installed
from stilts.results.similarity.pretraining import Pretraining
from stilts.statistics.compare import holm
from stilts.statistics.correlation import FEWEST, Correlation, partial, pearson, spearman, varies

ALL = "all"
"""Value of the column `target` in rows of the gain over all targets."""

ENGLISH = "en"

MEASURES = ("pearson", "spearman", "partial")

_WHERE = ("split", "model", "family", "intermediate", "baseline", "target")

POINTS = pa.schema(
    [
        *((name, pa.string()) for name in _WHERE),
        ("language", pa.string()),
        ("gain", pa.float64()),
        ("n", pa.int64()),
        *((f"distance_{feature}", pa.float64()) for feature in FEATURES),
        ("pretraining_size", pa.float64()),
        ("size_source", pa.string()),
    ],
    metadata={"stilts.attribution": ATTRIBUTION},
)
"""Schema of the table `similarity_points`: one row per regime, target (or `all`) and language other than English.

- gain: points over `baseline`, mean over seeds; n: number of seeds, or, for `all`, of targets.
- distance_...: distance to English by feature, from 0 to 1.
- pretraining_size: in the unit that size_source names; null if not known.
- family: architecture of the model."""

CORRELATIONS = pa.schema(
    [
        *((name, pa.string()) for name in _WHERE),
        ("feature", pa.string()),
        ("languages", pa.int64()),
        *((f"{m}{part}", pa.float64()) for m in MEASURES for part in ("", "_low", "_high", "_p", "_p_holm")),
        ("partial_languages", pa.int64()),
        ("comparisons", pa.int64()),
        ("size_source", pa.string()),
        ("note", pa.string()),
    ],
    metadata={"stilts.attribution": ATTRIBUTION},
)
"""Schema of the table `similarity`: one row per regime, target (or `all`) and feature, with the correlation between
gain and distance.

- pearson, spearman: correlations over `languages` languages, each with 95 % interval, p value and adjusted p value.
- partial: Pearson's correlation with the logarithm of the pretraining size held constant, over `partial_languages`.
- ..._p_holm: p adjusted by Holm's method over all regimes and features of one model, split and target; comparisons:
  number of p values among them.
- note: why a correlation is null."""

Point = dict[str, Any]


def similarity(
    languages: pa.Table, official: Collection[str], models: Mapping[str, Pretraining]
) -> tuple[pa.Table, pa.Table]:
    """Compute the tables `similarity_points` and `similarity`, in this order.

    Args:
        languages: the table of this name, with differences to the baseline by language.
        official: the targets whose gains enter `all`.
        models: the pretraining of each model.
    """
    gains = [row for row in languages.to_pylist() if row["difference"] is not None]
    gains = [row for row in gains if row["language"] not in (ENGLISH, MEAN)]
    points = [_point(row, models) for row in gains]
    points += [point for group in _groups(points, "target") for point in _over_targets(group, official)]
    found = distances({point["language"] for point in points})
    for point in points:
        point |= {f"distance_{feature}": found[feature].get(point["language"]) for feature in FEATURES}
    correlations = [_correlate(group, feature) for group in _groups(points) for feature in FEATURES]
    for family in _groups(correlations, "intermediate", "baseline"):
        _adjust(family)
    return pa.Table.from_pylist(points, schema=POINTS), pa.Table.from_pylist(correlations, schema=CORRELATIONS)


def _point(row: Mapping[str, Any], models: Mapping[str, Pretraining]) -> Point:
    model = models[row["model"]]
    return {
        **{name: row[name] for name in _WHERE if name != "family"},
        "family": model.family,
        "language": row["language"],
        "gain": row["difference"],
        "n": row["difference_n"],
        "pretraining_size": model.sizes.get(row["language"]),
        "size_source": model.source,
    }


def _groups(rows: Sequence[Point], *over: str) -> Iterator[list[Point]]:
    """Group rows by all columns of _WHERE except those in `over`. Groups and rows keep their order."""
    names = [name for name in _WHERE if name not in over]
    groups: dict[tuple[Any, ...], list[Point]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    yield from groups.values()


def _over_targets(points: Sequence[Point], official: Collection[str]) -> Iterator[Point]:
    """The gain of one regime in each language, averaged over all targets.

    Targets have different languages and gain differently. A plain mean over the targets of a language would mostly
    reflect which targets have that language. Instead, these are the least-squares means of the additive model
    gain = target + language. They are equal to plain means if all targets have the same languages. Nothing is returned
    if the targets cannot be compared, because some of them are not connected to the others by common languages.
    """
    counted = [point for point in points if point["target"] in official]
    targets = list(dict.fromkeys(point["target"] for point in counted))
    names = list(dict.fromkeys(point["language"] for point in counted))
    if not counted:
        return
    design = np.zeros((len(counted), len(targets) + len(names)))
    for row, point in enumerate(counted):
        design[row, targets.index(point["target"])] = 1
        design[row, len(targets) + names.index(point["language"])] = 1
    effects, _, rank, _ = np.linalg.lstsq(design, np.array([point["gain"] for point in counted]), rcond=None)
    if rank < len(targets) + len(names) - 1:
        return
    for i, name in enumerate(names):
        gain = float(effects[len(targets) + i] + effects[: len(targets)].mean())
        of_language = [point for point in counted if point["language"] == name]
        yield {**of_language[0], "target": ALL, "gain": gain, "n": len(of_language)}


def _correlate(points: Sequence[Point], feature: str) -> Point:
    found = [point for point in points if point[f"distance_{feature}"] is not None]
    sized = [point for point in found if point["pretraining_size"]]
    row = {name: points[0][name] for name in (*_WHERE, "size_source")}
    row |= {"feature": feature, "languages": len(found), "partial_languages": len(sized)}
    if reason := _reason(found, feature):
        return {**row, "note": reason}
    x, y = _columns(found, feature)
    row |= _fields("pearson", pearson(x, y)) | _fields("spearman", spearman(x, y))
    sizes = [log(point["pretraining_size"]) for point in sized]
    if reason := _reason(sized, feature) or ("" if varies(sizes) else "pretraining sizes do not differ"):
        return {**row, "note": f"no partial correlation: {reason}"}
    return row | _fields("partial", partial(*_columns(sized, feature), sizes))


def _reason(points: Sequence[Point], feature: str) -> str:
    """Why a correlation cannot be computed; empty if it can."""
    if not installed():
        return ABSENT
    if len(points) < FEWEST:
        return f"too few languages ({len(points)})"
    x, y = _columns(points, feature)
    return "" if varies(x) and varies(y) else f"{'distances' if varies(y) else 'gains'} do not differ"


def _columns(points: Sequence[Point], feature: str) -> tuple[list[float], list[float]]:
    return [point[f"distance_{feature}"] for point in points], [point["gain"] for point in points]


def _fields(name: str, found: Correlation) -> Point:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high, f"{name}_p": found.p}


def _adjust(family: Sequence[Point]) -> None:
    for measure in MEASURES:
        tested = [row for row in family if row.get(f"{measure}_p") is not None]
        for row, p in zip(tested, holm([row[f"{measure}_p"] for row in tested]), strict=True):
            row[f"{measure}_p_holm"] = p
    tests = sum("pearson_p" in row for row in family)
    for row in family:
        row["comparisons"] = tests or None
