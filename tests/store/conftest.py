"""The backends over which the store's contract is run. A new backend is one entry here."""

from pathlib import Path

import pytest

from stilts.store.local import LocalStore
from stilts.store.protocol import Store

BACKENDS = {"local": LocalStore}


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return BACKENDS[request.param](tmp_path / "store")
