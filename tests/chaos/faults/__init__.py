"""The kinds of faults. A fault is injected into a random target; without a target, it is skipped.

rank      SIGKILL of a rank that runs a stage
trial     SIGKILL of the process of a trial
stall     SIGSTOP of a rank, with no other driver: it makes no more steps, and the driver must notice
pause     SIGSTOP of a stage's leading rank beside a second driver, until another attempt has taken over the stage
node      SIGKILL of all processes of a Ray node; then another node joins
memory    a process takes the memory of a node until Ray's memory monitor kills workers
gcs       SIGKILL of the cluster's GCS server; when all drivers have ended, the cluster is started anew
clock     a second driver starts, or a node is replaced, with a wall clock that is an hour off, or frozen
driver    SIGKILL of a driver; then the same command is started again
rival     a second driver is started on the same experiment and store
search    SIGKILL of the driver of the search on the same store; the first time, the search is started
database  the database of the search's study is locked (SQLite) or switched off (PostgreSQL) for some seconds
clean     from now on, `stilts clean -y` runs every few seconds
cut       the store cannot be reached for some seconds
readonly  the store cannot be written for some seconds
full      the disk of the store, or that of temporary files and caches, is full for some seconds
"""

from tests.chaos import cgroup, disk
from tests.chaos.faults import clusters, processes, searches, storage
from tests.chaos.faults.base import Fault

KINDS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        *(processes.rank, processes.trial, processes.stall, processes.pause, processes.driver, processes.rival),
        *(clusters.node, clusters.memory, clusters.gcs, clusters.clock),
        *(searches.search, searches.database),
        *(storage.clean, storage.cut, storage.readonly, storage.full),
    )
}


def unavailable() -> dict[str, str]:
    """The kinds of faults that cannot be injected on this machine, and why."""
    reasons = {"memory": cgroup.unavailable(), "readonly": disk.unavailable(), "full": disk.unavailable()}
    return {kind: reason for kind, reason in reasons.items() if reason is not None}
