"""Distances of languages to English, from URIEL's vectors as the optional package lang2vec holds them.

The package's data is CC BY-SA 4.0 (Littell et al. 2017): it is read where it is installed, and nothing of it is part of
stilts. Its module is not imported, only its arrays are read, without unpickling: it needs an old setuptools.
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
"""Where the package's table of codes names a macrolanguage, of which URIEL has no vectors: the standard variety."""

_ARRAYS = {
    "syntax": ("feature_predictions.npz", "S_"),
    "phonology": ("feature_predictions.npz", "P_"),
    "inventory": ("feature_predictions.npz", "INV_"),
    "family": ("family_features.npz", "F_"),
    "geography": ("geocoord_features.npz", "GC_"),
}
"""File and prefix of the names of the dimensions. The first three are URIEL's predictions by nearest neighbours
(`*_knn`), which leave no value open."""


def installed() -> bool:
    """Whether the package is there."""
    return _data() is not None


def distances(languages: Iterable[str]) -> dict[str, dict[str, float]]:
    """Cosine distance to English by feature and language (two-letter codes), 0 to 1.

    Languages that URIEL has not (those of a generated corpus) are left out; without the package, all are. A language
    without any family (the isolate Basque; Estonian and Quechua, whose families URIEL lacks) shares none with English:
    its distance is 1.
    """
    data, wanted = _data(), set(languages)
    if data is None:
        return {feature: {} for feature in FEATURES}
    found = {feature: _to_english(data, feature) for feature in FEATURES}
    return {feature: {name: found[feature][name] for name in wanted & found[feature].keys()} for feature in FEATURES}


@cache
def _to_english(data: Path, feature: str) -> Mapping[str, float]:
    """Of every language that has a two-letter code and vectors."""
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
    """Two-letter code -> URIEL's."""
    return {**json.loads((data / "letter_codes.json").read_text()), **_CODES}


def _data() -> Path | None:
    # Not by the module's name, which a script that the package installs has too.
    try:
        return Path(str(distribution("lang2vec").locate_file("lang2vec/data")))
    except PackageNotFoundError:
        return None
