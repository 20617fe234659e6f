"""Places labels next to points so that they overlap as little as possible."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

_AWAY = 2.2
"""Distance between a dot and its label, in points."""

Place = tuple[float, float, str, str]
"""(offset to the right, offset upwards, ha, va): offsets in points, and matplotlib's alignment of the text."""

_PLACES: tuple[Place, ...] = (
    (_AWAY, 0, "left", "center"),
    (-_AWAY, 0, "right", "center"),
    (0, _AWAY, "center", "bottom"),
    (0, -_AWAY, "center", "top"),
    (_AWAY, _AWAY, "left", "bottom"),
    (-_AWAY, _AWAY, "right", "bottom"),
    (_AWAY, -_AWAY, "left", "top"),
    (-_AWAY, -_AWAY, "right", "top"),
)

_Box = tuple[float, float, float, float]


def places(points: npt.NDArray[np.float64], names: Sequence[str], size: float) -> list[Place]:
    """Choose a place for every label, one after the other: the one that overlaps least with dots and earlier labels.

    Args:
        points: positions of the dots of shape [n, 2], in points (1/72 inch).
        size: font size in points. Letters are taken to be half as wide.
    """
    taken: list[_Box] = [(x - 1, y - 1, x + 1, y + 1) for x, y in points]
    found = []
    for (x, y), name in zip(points, names, strict=True):
        options = [(place, _box(x, y, place, name, size)) for place in _PLACES]
        place, box = min(options, key=lambda option: sum(_meeting(option[1], taken)))
        taken.append(box)
        found.append(place)
    return found


def _box(x: float, y: float, place: Place, name: str, size: float) -> _Box:
    right, up, ha, va = place
    width = 0.5 * size * len(name)
    left = x + right - {"left": 0.0, "center": width / 2, "right": width}[ha]
    below = y + up - {"bottom": 0.0, "center": size / 2, "top": size}[va]
    return left, below, left + width, below + size


def _meeting(box: _Box, taken: Sequence[_Box]) -> Iterator[float]:
    """The area of each overlap with another box."""
    for other in taken:
        width = min(box[2], other[2]) - max(box[0], other[0])
        height = min(box[3], other[3]) - max(box[1], other[1])
        if width > 0 and height > 0:
            yield width * height
