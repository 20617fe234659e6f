"""The registry of families. Every module of this folder is imported on first use, so that a new family is one file."""

from functools import cache

from stilts.discovery import import_modules, tracked
from stilts.errors import StiltsError, nearest
from stilts.tasks.families.base import Family

_FAMILIES: dict[str, Family] = tracked({})


def register(family: Family) -> Family:
    """Add a family to the registry.

    Raises:
        StiltsError: the name is taken.
    """
    if family.name in _FAMILIES:
        raise StiltsError(f"two families are called {family.name!r}; give the new one another name")
    _FAMILIES[family.name] = family
    return family


def all_families() -> dict[str, Family]:
    """Return every family by name."""
    _load()
    return dict(_FAMILIES)


def get_family(name: str) -> Family:
    """Return the family of this name, as in `Task.family`.

    Raises:
        StiltsError: there is none; the message names the most similar one.
    """
    _load()
    if name not in _FAMILIES:
        raise StiltsError(f"unknown family {name!r}; {nearest(name, _FAMILIES)}")
    return _FAMILIES[name]


@cache
def _load() -> None:
    import_modules("stilts.tasks.families")
