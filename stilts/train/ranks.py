"""Ranks: the processes that train one stage together. They communicate through torch.distributed."""

import ipaddress
import os
import platform
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch
import torch.distributed as dist

from stilts.errors import StiltsError

T = TypeVar("T")


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Context in which an operation without a deterministic implementation on a GPU raises instead of warning.

    This strict mode is also the only one in which the backward pass of memory-efficient attention, which packed batches
    use, is deterministic. On a CPU the context changes nothing.

    Reproducibility on a CPU: the same stage on the same number of ranks and threads gives the same bits, also if it is
    killed and resumed (tested).

    Reproducibility on a GPU: torch documents every operation of a training step as deterministic in this mode (tested
    by the names of the operations, on a CPU). Equal bits also require the same GPU model, the same versions of torch
    and its libraries, and NCCL reductions in the same order; they were not measured.
    """
    strict = device.type == "cuda"
    if strict:
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        if strict:
            torch.use_deterministic_algorithms(True, warn_only=True)


class Preempted(StiltsError):
    """The trial was preempted. Its resume state is stored, from which another trial continues the stage."""


class Stopped(StiltsError):
    """The stage was cancelled before its last step. None of its training is kept."""


class Heartbeat:
    """Counts the progress of one rank, so that another process can tell a slow stage from one that hangs."""

    def __init__(self) -> None:
        self.count = 0

    def beat(self) -> None:
        """Note progress. Cheap: call it for each micro-batch."""
        self.count += 1


MEET_SECONDS = 3600.0
"""How long ranks wait for a slow one. It is longer than the leader's own patience with a store that is away."""
COLLECTIVE_SECONDS = 600.0
"""Timeout of one collective operation. Ranks enter one only when all of them are there."""
_LOOK_SECONDS = 10.0


class Meeting:
    """Lets the ranks of a gang wait for each other outside of collective operations.

    A collective operation that a rank is late for fails after its timeout, in NCCL for the whole process. Before an
    operation for which a rank may be late, because it reads from the store, encodes data or writes a resume state, the
    ranks therefore meet in the key-value store of the process group, where a wait may take any time.

    Args:
        store: key-value store of the process group.
    """

    def __init__(self, store: dist.Store, world: int) -> None:
        self._store, self._world, self._number = dist.PrefixStore("meeting", store), world, 0

    def any(self, flag: bool) -> bool:
        """Wait for all ranks; return whether one of them has set the flag. Counts as a call of `wait`."""
        name = f"{self._number + 1} flag"
        if flag:
            self._store.set(name, "")  # before this rank is there, so that all see it once all are
        self.wait()
        return self._store.check([name])

    def wait(self) -> None:
        """Return when every rank has called this method as often as this one.

        Raises:
            RuntimeError: a rank was not there after MEET_SECONDS, or the rank that keeps the store is gone.
        """
        self._number += 1
        here, complete = f"{self._number}", f"{self._number} complete"
        if self._store.add(here, 1) == self._world:
            self._store.set(complete, "")
            if self._number > 1:  # everybody has left the meeting before
                self._store.delete_key(f"{self._number - 1}")
                self._store.delete_key(f"{self._number - 1} complete")
            return
        until = time.monotonic() + MEET_SECONDS
        while True:
            try:
                return self._store.wait([complete], timedelta(seconds=_LOOK_SECONDS))
            except dist.DistStoreError as error:
                if time.monotonic() > until:
                    raise RuntimeError(f"the ranks did not meet within {MEET_SECONDS:.0f} s") from error


@dataclass(frozen=True)
class Ranks:
    """One process of a gang, with the collective operations of the gang.

    All ranks must call the collectives in the same order.

    Attributes:
        rank: number of this process, from 0.
        world: number of ranks.
        device: device of the tensors of this rank.
        drain: set by another thread when this rank is preempted. The gang then stops as soon as its work is stored.
        halt: set by another thread when the stage is cancelled.
        heartbeat: counts the progress of this rank; every collective operation that ends is progress.
        meeting: where the ranks wait for each other before collective operations; None for a single rank.
    """

    rank: int
    world: int
    device: torch.device
    drain: threading.Event = field(default_factory=threading.Event, compare=False)
    halt: threading.Event = field(default_factory=threading.Event, compare=False)
    heartbeat: Heartbeat = field(default_factory=Heartbeat, compare=False)
    meeting: Meeting | None = field(default=None, compare=False)

    @property
    def leader(self) -> bool:
        """Whether this is rank 0, which writes to the store and reports progress."""
        return self.rank == 0

    def _meet(self) -> None:
        if self.meeting is not None:
            self.meeting.wait()

    def barrier(self) -> None:
        """Wait until every rank has called this method."""
        self._meet()
        self.heartbeat.beat()

    def broadcast(self, value: Any) -> Any:
        """Return the leader's value on every rank."""
        box = [value]
        self._meet()
        if self.world > 1:
            dist.broadcast_object_list(box, src=0, device=self.device)
        self.heartbeat.beat()
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, in rank order, on every rank."""
        values: list[Any] = [value] * self.world
        self._meet()
        if self.world > 1:
            dist.all_gather_object(values, value)
        self.heartbeat.beat()
        return values

    def gather_rows(self, rows: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
        """Return the rows of all ranks, in rank order, on every rank. They stay on the device.

        Args:
            rows: [n, ...], with counts[rank] rows.
            counts: number of rows of each rank.
        """
        if self.world == 1:
            self.heartbeat.beat()
            return rows
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        self._meet()
        dist.all_gather(parts, padded)
        self.heartbeat.beat()
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def on_each_node(self, make: Callable[[], T]) -> T:
        """Run `make` in the first rank of each node and return its result to all ranks of the node (collective)."""
        nodes = self.gather(_node())
        first = nodes.index(nodes[self.rank])
        return self.gather(make() if first == self.rank else None)[first]

    def sum(self, *values: float) -> list[float]:
        """Sums over the ranks, in float64. Every rank gets the same numbers."""
        if self.world == 1:
            self.heartbeat.beat()
            return list(values)
        self._meet()
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        found: list[float] = total.tolist()
        self.heartbeat.beat()
        return found

    def any(self, flag: bool) -> bool:
        """Whether a flag is set on any rank (collective). It goes through the host: nothing waits for the device."""
        return flag if self.meeting is None else self.meeting.any(flag)

    def start_sum(self, total: torch.Tensor, norm: torch.Tensor, *flags: float) -> Callable[[], list[float]]:
        """Start to sum a loss and flags over the ranks; return a function that waits for the sums.

        On a GPU, nothing waits for the device until that function is called.

        Args:
            total: scalar on the device, which is summed.
            norm: scalar on the device, equal on all ranks, which is not.
        """
        if self.world == 1:
            return torch.stack(
                [total.double(), norm.double(), *(torch.zeros_like(total).double() for _ in flags)]
            ).tolist
        scalars = [torch.full((), value, dtype=torch.float64, device=self.device) for value in flags]
        sums = torch.stack([total.double(), torch.zeros_like(total).double(), *scalars])
        dist.all_reduce(sums)
        sums[1] += norm
        return sums.tolist

    def raise_if_draining(self) -> None:
        """Stop the stage if a rank is draining (collective). Call it only where all finished work is stored or queued.

        Raises:
            Preempted: on every rank, if any of them is draining.
        """
        if self.sum(float(self.drain.is_set()))[0]:
            raise Preempted("preempted")

    def share(self, tensor: torch.Tensor) -> torch.Tensor:
        """Broadcast the leader's tensor. Other ranks' tensors are overwritten in place; returns `tensor`."""
        if self.world > 1:
            dist.broadcast(tensor, src=0)
        return tensor


def _node() -> tuple[str, str, str]:
    """Identity of the node: host name, boot id and mount namespace. Ranks of the same node share a file system."""
    try:
        return (
            platform.node(),
            Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            os.readlink("/proc/self/ns/mnt"),
        )
    except OSError:
        return platform.node(), "", ""


def connect(
    rank: int, world: int, address: str, port: int, device: torch.device, listener: socket.socket | None = None
) -> Ranks:
    """Join the gang: initialise torch.distributed, with gloo on CPUs and NCCL on GPUs.

    Must be called once per process. A single rank has a process group, too, because DeepSpeed needs one.

    Args:
        address: IP address of rank 0, to which the other ranks connect. A rank listens on the network interface with
            this address if its node has one, otherwise on the interface that the backend chooses.
        listener: socket of rank 0 that listens at `address` and `port`; if None, rank 0 opens one.
    """
    local = device.index or 0 if device.type == "cuda" else 0
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(local), MASTER_ADDR=address, MASTER_PORT=str(port)
    )
    if device.type == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"  # else DeepSpeed warns, whoever imports it
    else:
        torch.cuda.set_device(device)
        # Read by cuBLAS when it is first used (see `deterministic`).
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    backend = "gloo" if device.type == "cpu" else "nccl"
    _keep_to_interface(address)
    store = _meeting_point(rank, world, address, port, listener)
    dist.init_process_group(
        backend,
        store=store,
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=COLLECTIVE_SECONDS),
        device_id=device if device.type == "cuda" else None,
    )
    return Ranks(rank, world, device, meeting=Meeting(store, world) if world > 1 else None)


def _meeting_point(rank: int, world: int, address: str, port: int, listener: socket.socket | None) -> dist.Store:
    """The key-value store through which the ranks find each other.

    It listens on `address` only, whereas torch would listen on all addresses of the node by default.
    """
    if world == 1:
        if listener is not None:
            listener.close()
        return dist.HashStore()
    if rank > 0:
        return dist.TCPStore(address, port, world)
    listener = listener or socket.create_server((address, port))
    return dist.TCPStore(address, port, world, is_master=True, master_listen_fd=listener.detach())


def _keep_to_interface(address: str) -> None:
    """Make gloo and NCCL use the network interface with this address, unless the environment names an interface."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(found.address == address for found in addresses):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
            if ipaddress.ip_address(address).is_loopback:
                # Between nodes, NCCL chooses the fastest network itself.
                os.environ.setdefault("NCCL_SOCKET_IFNAME", name)
