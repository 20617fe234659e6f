"""The kinds of noise by name."""

from collections.abc import Callable

from stilts.data.noise.case import casing
from stilts.data.noise.keyboard import keyboard
from stilts.data.noise.letters import drop, insert, swap
from stilts.data.noise.ocr import ocr
from stilts.data.noise.places import Places
from stilts.data.noise.punctuation import punctuation
from stilts.data.noise.units import Units

Kind = Callable[[Units, str], Places]
"""(units, language) -> the places that it can change, and how."""

KINDS: dict[str, Kind] = {
    "swap": swap,
    "drop": drop,
    "insert": insert,
    "keyboard": keyboard,
    "casing": casing,
    "punctuation": punctuation,
    "ocr": ocr,
}
