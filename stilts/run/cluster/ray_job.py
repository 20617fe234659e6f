"""A run that `ray job submit` started: what does not hold there as it does in a terminal."""

from stilts.errors import StiltsError
from stilts.storage.open import local_folder

_COPY = "_ray_pkg_"
"""How Ray names the folders in which a job finds its copy of the working directory."""


def check_job(store: str) -> None:
    """Refuse a store in a job's copy of the working directory: the next job gets another, and none outlives the head.

    Raises:
        StiltsError: the store lies there.
    """
    folder = local_folder(store)
    if folder is not None and any(part.startswith(_COPY) for part in folder.resolve().parts):
        raise StiltsError(
            f"the store {store} would lie in this job's own copy of the working directory, and be lost with it: "
            "use --set store=s3://bucket/path (or gs://), or the absolute path of a file system that all nodes mount"
        )
