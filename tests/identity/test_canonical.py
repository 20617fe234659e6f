"""Canonical JSON: equal values give equal bytes, and what has no canonical form raises."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stilts.identity.canonical import canonical, digest


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (3.0, "3"),
        (-0.0, "0"),
        (1e-5, "1e-05"),
        (0.1, "0.1"),
        (1e16, "1e+16"),
        ("ไทย\n\"", '"ไทย\\n\\""'),
        ([1, (2, [])], "[1,[2,[]]]"),
        ({"b": 1, "a": {"d": None, "c": False}}, '{"a":{"c":false,"d":null},"b":1}'),
        ({}, "{}"),
    ],
)  # fmt: skip
def test_canonical_form(value: object, text: str) -> None:
    assert canonical(value) == text


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (math.nan, r"\$: nan"),
        ({"a": [1, math.inf]}, r"\$\.a\[1\]: inf"),
        ({"a": {1: 2}}, r"\$\.a: key 1 is not a string"),
        ({None: 2}, "key None"),
        ({"a": {1, 2}}, r"\$\.a: set"),
        (b"x", "bytes"),
        (Path("x"), "PosixPath"),
        (np.float32(1), "float32"),
        (np.int64(1), "int64"),
        (object(), "object"),
    ],
)
def test_refusals_name_the_place(value: object, where: str) -> None:
    with pytest.raises(ValueError, match=where):
        canonical(value)


def test_text_that_no_file_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        digest("\ud800")


def test_the_order_of_a_mapping_does_not_matter_and_of_a_list_does() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1])


def test_a_digest_is_the_same_in_another_process() -> None:
    value = {"b": [0.1, 1e-7, 2**60], "a": "é"}
    code = f"from stilts.identity.canonical import digest; print(digest({value!r}))"
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(value)


def test_golden_digest() -> None:
    golden = "4e2e0c24ee9a5bdcf69a27ad82fa94433955bdaabcf294a2f94a70eefb5c7d6d"
    assert digest({"a": [1, 2.5, "é", None, True]}) == golden
