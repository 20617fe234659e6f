"""The registry of noise kinds. A kind is a function in a module of this folder, decorated with `kind`.

To add one, write its module, and add its name to `NoiseDecl.kinds` in `experiment/experiment.py`, which lists the names
that an experiment may use.
"""

from collections.abc import Callable

from stilts.data.noise.places import Places
from stilts.data.noise.units import Units

Kind = Callable[[Units, str], Places]
"""`kind(units, language)` returns the places of a text that it can change, and how."""

KINDS: dict[str, Kind] = {}
"""The kinds by name. The package imports all of its modules, so that each registers its own."""


def kind(function: Kind) -> Kind:
    """Register a kind of noise under the name of its function.

    Raises:
        ValueError: the name is taken.
    """
    name = function.__name__
    if name in KINDS:
        raise ValueError(f"two kinds of noise are called {name!r}")
    KINDS[name] = function
    return function
