"""The declarations and the local Ray that tests of plans and runs use, too."""

from tests.plan.conftest import data, expanded
from tests.run.conftest import cluster, local_ray, make_job

__all__ = ["cluster", "data", "expanded", "local_ray", "make_job"]
