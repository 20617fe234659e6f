"""Checks that concern only a run that was started by `ray job submit`."""

from stilts.errors import StiltsError
from stilts.run.ray_private import JOB_FOLDER
from stilts.storage.open import local_folder


def check_job(store: str) -> None:
    """Refuse a store inside the job's copy of the working directory.

    Every job gets a copy of its own, which is deleted with the head node at the latest, so that the next job would not
    find the store.

    Raises:
        StiltsError: the store lies there.
    """
    folder = local_folder(store)
    if folder is not None and any(part.startswith(JOB_FOLDER) for part in folder.resolve().parts):
        raise StiltsError(
            f"the store {store} would lie in this job's own copy of the working directory, and be lost with it: "
            "use --set store=s3://bucket/path (or gs://), or the absolute path of a file system that all nodes mount"
        )
