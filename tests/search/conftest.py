"""The declarations and the local Ray that tests of plans and runs use, too."""

from pathlib import Path

import pytest

from stilts.search.session import SearchSession
from tests.plan.conftest import data, expanded
from tests.run.conftest import cluster, local_ray, make_job
from tests.search.drivers import Open
from tests.search.studies import SEARCH

__all__ = ["cluster", "data", "expanded", "local_ray", "make_job"]


@pytest.fixture
def search(tmp_path: Path) -> Open:
    path = tmp_path / "search.yaml"
    path.write_text(SEARCH.format(folder=tmp_path))
    return lambda *overrides: SearchSession.open(path, overrides)
