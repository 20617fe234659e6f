"""Import all modules of a package, so that a task, family, head, encoder or kind of noise is found by being there."""

import importlib
import pkgutil
from typing import Any, TypeVar

Registry = TypeVar("Registry", bound=dict[Any, Any])

REGISTRIES: list[dict[Any, Any]] = []
"""Every registry, so that what a user's own file registers can be told from what the package holds (`tasks/own.py`)."""


def tracked(registry: Registry) -> Registry:
    """Add a registry to REGISTRIES and return it."""
    REGISTRIES.append(registry)
    return registry


def import_modules(package: str) -> None:
    """Import every module directly in a package. Modules register what they declare when they are imported.

    Args:
        package: the dotted name of a package.
    """
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
