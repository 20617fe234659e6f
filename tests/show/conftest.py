"""The grids of results that tests of results use, too."""

from tests.results.conftest import grid, xtreme_grid

__all__ = ["grid", "xtreme_grid"]
