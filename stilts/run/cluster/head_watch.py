"""Watch the services that a driver needs: the control service of its cluster, and the Ray process of its own node.

If the control service has not answered for 60 seconds, Ray 2.60 ends the driver with a message about its internals. If
the Ray process (raylet) of its own node is lost, the driver waits for ever. Calls to Ray may block meanwhile, so that
no exception can be raised in the thread of the run. The watch therefore runs in a thread of its own and ends the
process.
"""

import os
import socket
import threading
import time
from collections.abc import Callable

import ray

from stilts.run.cluster.connect import PREFACE

LOST_SECONDS = 40.0
"""A control service that has not answered for so long is lost. Shorter than Ray's own limit, which ends the process."""
OWN_SECONDS = 6.0
"""The same for the Ray process of the driver's own machine, without which every trial is lost as soon as it starts."""
CONTROL, OWN = "the control service of the Ray cluster", "the Ray process of this machine"
_LIMITS = {CONTROL: LOST_SECONDS, OWN: OWN_SECONDS}
POLL_SECONDS = 2.0
ANSWER_SECONDS = 5.0


class HeadWatch:
    """Context manager that calls a function when the cluster is lost.

    Args:
        lost: called in a thread with the reason in one sentence.
    """

    def __init__(self, lost: Callable[[str], None]) -> None:
        self._lost = lost
        self._closed = threading.Event()

    def __enter__(self) -> "HeadWatch":
        services = needed_services()
        if services:
            threading.Thread(target=self._watch, args=(services,), daemon=True, name="head watch").start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()

    def _watch(self, services: dict[str, tuple[str, int]]) -> None:
        answered = dict.fromkeys(services, time.monotonic())
        while not self._closed.wait(POLL_SECONDS):
            for name, address in services.items():
                if answers(address):
                    answered[name] = time.monotonic()
                elif time.monotonic() - answered[name] > _LIMITS[name] and not self._closed.is_set():
                    where = f"{name} at {address[0]}:{address[1]}"
                    self._lost(f"{where} has not answered for {time.monotonic() - answered[name]:.0f} s")
                    return


def needed_services() -> dict[str, tuple[str, int]]:
    """Addresses of the services that this driver needs, by name; none if it is connected through Ray Client."""
    if ray.util.client.ray.is_connected():
        return {}
    context = ray.get_runtime_context()
    host, _, port = context.gcs_address.rpartition(":")
    services = {CONTROL: (host.strip("[]"), int(port))}
    for node in ray.nodes():
        if node["NodeID"] == context.get_node_id():
            services[OWN] = (node["NodeManagerAddress"], int(node["NodeManagerPort"]))
    return services


def answers(address: tuple[str, int]) -> bool:
    """Whether a server of gRPC answers at an address. A process that is frozen accepts connections and does not."""
    try:
        with socket.create_connection(address, ANSWER_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS") == "1":
                return True  # the server answers only what is encrypted
            connection.sendall(PREFACE)
            return bool(connection.recv(1))
    except OSError:
        return False
