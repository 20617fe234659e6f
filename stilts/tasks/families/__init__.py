"""Task families: everything that tasks of one shape share and that needs no torch. See `base.Family`, the contract."""

from stilts.tasks.families.base import Family, Lengths, Procedure
from stilts.tasks.families.hub import HubRows
from stilts.tasks.families.registry import all_families, get_family, register

__all__ = ["Family", "HubRows", "Lengths", "Procedure", "all_families", "get_family", "register"]
