"""Connect to a Ray cluster, or start a local one; find out quickly whether a cluster answers at an address.

Ray itself takes 81 seconds to notice that nothing answers at an address, prints lines about its parts meanwhile, and
then ends the process. Therefore the address is asked first. Both ports that a driver may connect to (the control
service's, usually 6379, and that of Ray Client, usually 10001) speak gRPC: a server of gRPC answers the first bytes of
an HTTP/2 connection (RFC 9113, section 3.4) with a frame of its settings.
"""

import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from stilts.errors import StiltsError
from stilts.run.cluster.cpus import usable_cpus
from stilts.run.ray_private import bootstrap_address, signals_kept, start_local
from stilts.waiting import Wait, noticed, patience

CONNECT_SECONDS = 60.0
"""How long a driver that nobody waits for tries to reach a cluster."""

ATTEMPT_SECONDS = 5.0
PAUSE_SECONDS = 0.5

SHORT_TEMPORARY = Path("/tmp/ray")
"""Ray's own default folder for the files of its sessions."""

_LONGEST_FOLDER = 107 - len("/session_2026-12-31_23-59-59_999999_4194304/sockets/plasma_store")
"""Characters of the folder below which Ray makes Unix sockets, whose paths have at most 107."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""The first bytes of an HTTP/2 connection, with an empty frame of settings."""

_HEAD = 9
_SETTINGS = 4
"""Length of the head of a frame, and the type of a frame of settings, which stands in its fourth byte."""


@contextmanager
def connected() -> Iterator[None]:
    """Connect to the cluster at RAY_ADDRESS, or start a local cluster; disconnect or stop it at the end.

    A connection that exists already is used and stays open.

    Raises:
        StiltsError: no cluster answers at RAY_ADDRESS, or none can be started.
    """
    if ray.is_initialized():
        yield
        return
    try:
        _start(os.environ.get("RAY_ADDRESS"))
        yield
    finally:
        ray.shutdown()


def _start(address: str | None) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    where = f"the Ray cluster at {address} (RAY_ADDRESS)" if address else "a local Ray cluster"
    try:
        if address:
            await_cluster(address)
            with signals_kept(), noticed(where):
                ray.init(address=address, **quiet)
        else:
            with signals_kept():
                start_local(num_cpus=usable_cpus(), _temp_dir=_temporary_folder(), **quiet)
    except StiltsError:
        raise
    except (Exception, SystemExit) as error:  # Ray ends the process when the control service stops to answer
        token = " If it asks for a token, set RAY_AUTH_MODE=token (and RAY_AUTH_TOKEN, if ~/.ray has none)."
        hint = f"{token} {_DIAGNOSIS}" if address else ""
        raise StiltsError(f"cannot connect to {where}: {type(error).__name__}: {error}.{hint}") from error


_DIAGNOSIS = "`stilts doctor` checks the connection with the same RAY_ADDRESS."


def await_cluster(address: str) -> None:
    """Wait until a cluster answers at an address, for the time that an interactive command may take.

    Args:
        address: as RAY_ADDRESS takes it: `HOST:PORT`, `ray://HOST:PORT`, or `auto` for the cluster of this machine.

    Raises:
        StiltsError: nothing answers, or what answers is not Ray.
    """
    found = _host_and_port(address)
    if found is None:
        return  # Ray says what is wrong with other forms
    server = f"the Ray cluster at {address} (RAY_ADDRESS)"
    began = time.monotonic()
    with noticed(server) as wait:
        while not _answers(found, address, wait):
            waited = time.monotonic() - began
            if waited + PAUSE_SECONDS > patience(server, CONNECT_SECONDS):
                raise StiltsError(
                    f"{server} has not answered for {waited:.0f} s ({wait.reason}). Check that the cluster runs and "
                    f"that this machine reaches the port of its control service (6379) or of Ray Client (10001); "
                    f"unset RAY_ADDRESS to use this machine alone. {_DIAGNOSIS}"
                )
            time.sleep(PAUSE_SECONDS)


def _host_and_port(address: str) -> tuple[str, int] | None:
    """Where to ask; None for an address that is not asked.

    Raises:
        StiltsError: `auto`, and no Ray runs on this machine.
    """
    if address.startswith("ray://"):
        found: str | None = address.removeprefix("ray://").partition("?")[0]
    elif "://" in address or address == "local":
        return None
    else:
        found = bootstrap_address(address)
        if found is None:
            raise StiltsError(
                f"RAY_ADDRESS is {address}, and no Ray runs on this machine: start one (`ray start --head`), give the "
                "address of a cluster, or unset RAY_ADDRESS, so that each run starts a local Ray of its own"
            )
    host, _, port = str(found).rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else None


def _answers(found: tuple[str, int], address: str, wait: Wait) -> bool:
    """Whether a server of gRPC answers. Otherwise the reason is noted in `wait`.

    Raises:
        StiltsError: something else answers.
    """
    try:
        with socket.create_connection(found, ATTEMPT_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS") == "1":
                return True  # the server answers only what is encrypted
            connection.sendall(PREFACE)
            head = connection.recv(_HEAD)
    except TimeoutError:
        wait.failed("it accepts connections or drops packets, and says nothing")
        return False
    except OSError as error:
        wait.failed(error.strerror or str(error))
        return False
    if not head:
        wait.failed("it closes the connection")
        return False
    if len(head) > 3 and head[3] == _SETTINGS:
        return True
    raise StiltsError(
        f"RAY_ADDRESS is {address}, and what answers there is not Ray's control service; if this is the port of the "
        "dashboard (8265), give that of the control service (6379) or of Ray Client (ray://HOST:10001)"
    )


def _temporary_folder() -> str | None:
    """A folder for the files of a local cluster, if Ray's choice has too long a path; None to leave the choice to Ray.

    Raises:
        StiltsError: RAY_TMPDIR, which is meant for Ray alone, has too long a path.
    """
    chosen = os.environ.get("RAY_TMPDIR")
    folder = Path(chosen or os.environ.get("TMPDIR") or tempfile.gettempdir()) / "ray"
    if len(os.fsencode(folder)) <= _LONGEST_FOLDER:
        return None
    if chosen:
        raise StiltsError(
            f"RAY_TMPDIR={chosen} is too long: Ray makes Unix sockets below it, whose paths may have 107 characters; "
            f"give a folder of at most {_LONGEST_FOLDER - len('/ray')} characters"
        )
    return str(SHORT_TEMPORARY)
