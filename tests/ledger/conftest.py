"""The backends that tests of storage use, too."""

from tests.storage.conftest import gcs_endpoint, store

__all__ = ["gcs_endpoint", "store"]
