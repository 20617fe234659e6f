"""Distances of languages to English, computed from URIEL's vectors in the optional package lang2vec.

The data of the package is licensed under CC BY-SA 4.0 (Littell et al. 2017). It is read from the installed package and
is not part of stilts. The arrays are read directly, without unpickling, because importing the package's module
requires an old version of setuptools.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

FEATURES = ("syntax", "phonology", "inventory", "family", "geography")

ABSENT = "no language vectors: pip install 'stilts[similarity]'"

ATTRIBUTION = (
    "Distances: cosine, of URIEL's vectors as in lang2vec (Littell et al. 2017, URIEL and lang2vec, EACL; CC BY-SA 4.0)"
)

_ENGLISH = "eng"

_CODES = {"ar": "arb", "az": "azj", "et": "ekk", "fa": "pes", "ms": "zsm", "sw": "swh", "zh": "cmn"}
"""Codes of the standard variety of languages for which the package's table gives a macrolanguage without vectors."""

_ARRAYS = {
    "syntax": ("feature_predictions.npz", "S_"),
    "phonology": ("feature_predictions.npz", "P_"),
    "inventory": ("feature_predictions.npz", "INV_"),
    "family": ("family_features.npz", "F_"),
    "geography": ("geocoord_features.npz", "GC_"),
}
"""Feature -> (file, prefix of the names of the vector's dimensions).

The first three are URIEL's predictions by nearest neighbours (`*_knn`), in which no value is missing."""


def installed() -> bool:
    """Whether the package lang2vec is installed."""
    return _data() is not None


def distances(languages: Iterable[str]) -> dict[str, dict[str, float]]:
    """Cosine distances to English, from 0 to 1, by feature and language.

    Languages without vectors in URIEL (such as those of a generated corpus) are left out; without lang2vec, all are.
    The distance in `family` is 1 for a language that has no family in URIEL (the isolate Basque; Estonian and Quechua,
    whose families are missing there): it shares no family with English.

    Args:
        languages: two-letter codes.
    """
    data, wanted = _data(), set(languages)
    if data is None:
        return {feature: {} for feature in FEATURES}
    found = {feature: _to_english(data, feature) for feature in FEATURES}
    return {feature: {name: found[feature][name] for name in wanted & found[feature].keys()} for feature in FEATURES}


@cache
def _to_english(data: Path, feature: str) -> Mapping[str, float]:
    """The distance of every language that has a two-letter code and vectors."""
    file, prefix = _ARRAYS[feature]
    with np.load(data / file, allow_pickle=False) as arrays:
        rows = {code: row for row, code in enumerate(arrays["langs"].tolist())}
        codes = {name: code for name, code in _codes(data).items() if code in rows}
        of_feature = np.char.startswith(arrays["feats"], prefix)
        vectors = arrays["data"][[rows[code] for code in (_ENGLISH, *codes.values())], :, 0][:, of_feature].astype(
            float
        )
    norms = np.linalg.norm(vectors, axis=1)
    products = norms * norms[0]
    cosines = np.divide(vectors @ vectors[0], products, out=np.zeros_like(products), where=products > 0)
    return dict(zip(codes, (1 - cosines[1:]).clip(0).tolist(), strict=True))


def _codes(data: Path) -> dict[str, str]:
    """Two-letter code -> the code that URIEL uses."""
    return {**json.loads((data / "letter_codes.json").read_text()), **_CODES}


def _data() -> Path | None:
    # Found by the distribution's name: `import lang2vec` can find the script of the same name that it installs.
    try:
        return Path(str(distribution("lang2vec").locate_file("lang2vec/data")))
    except PackageNotFoundError:
        return None
