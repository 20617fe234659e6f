"""Ranks: the processes that train one stage together, over torch.distributed."""

import ipaddress
import os
import platform
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch
import torch.distributed as dist

from stilts.errors import StiltsError

T = TypeVar("T")


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Within it, an operation without a deterministic implementation on a GPU raises instead of warning.

    The strict mode matters beyond that: the backward pass of memory-efficient attention, which packed batches use,
    takes its deterministic path in this mode only. Nothing is changed on a CPU.

    What holds. On a CPU, the same stage on the same number of ranks and threads gives the same bits (tested, killed and
    resumed runs included). On a GPU, every operation of a training step is one that torch documents as deterministic
    in this mode (tested by the names of the operations, on a CPU); equal bits also need the same GPU model, the same
    versions of torch and of its libraries, and NCCL's reductions in the same order, and were not measured.
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
    """The trial was preempted. Its resume state is stored, and the stage continues elsewhere."""


class Stopped(StiltsError):
    """The stage was cancelled before its last step. Nothing of it is kept."""


@dataclass(frozen=True)
class Ranks:
    """One process of a gang, and the collectives of the gang. All ranks must call collectives in the same order.

    Attributes:
        rank: number of this process, from 0; rank 0 is the leader.
        world: number of ranks.
        device: device of the tensors of this rank.
        drain: set by another thread when this rank is preempted: it stops as soon as its work is stored.
        halt: set by another thread when the stage is cancelled.
    """

    rank: int
    world: int
    device: torch.device
    drain: threading.Event = field(default_factory=threading.Event, compare=False)
    halt: threading.Event = field(default_factory=threading.Event, compare=False)

    @property
    def leader(self) -> bool:
        return self.rank == 0

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.world > 1:
            dist.barrier()

    def broadcast(self, value: Any) -> Any:
        """Return the leader's value on every rank."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, in rank order, on every rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def on_each_node(self, make: Callable[[], T]) -> T:
        """Run `make` in the first rank of each node and return its result to all ranks of the node (collective)."""
        nodes = self.gather(_node())
        first = nodes.index(nodes[self.rank])
        return self.gather(make() if first == self.rank else None)[first]

    def sum(self, *values: float) -> list[float]:
        """Sums over the ranks, in float64. Every rank gets the same numbers."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def give_way(self) -> None:
        """Stop here if a rank is draining; called at points where all finished work is stored (collective).

        Raises:
            Preempted: on every rank, if any of them is draining.
        """
        if self.sum(float(self.drain.is_set()))[0]:
            raise Preempted("gave way")

    def share(self, tensor: torch.Tensor) -> torch.Tensor:
        """Broadcast the leader's tensor into this one."""
        if self.world > 1:
            dist.broadcast(tensor, src=0)
        return tensor


def _node() -> tuple[str, str, str]:
    """Identity of the node: host name, boot id and mount namespace. Ranks with equal identities share a file system."""
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
    """Join the gang: initialise torch.distributed and DeepSpeed, with gloo on CPUs and NCCL on GPUs.

    DeepSpeed needs a process group even for one rank. Call it once per process.

    Args:
        address: address of rank 0, which the other ranks connect to. A rank listens on the network interface with this
            address if its node has one, else on the interface that the backend chooses.
        listener: socket of rank 0 that listens at address and port; None: rank 0 opens one.
    """
    local = device.index or 0 if device.type == "cuda" else 0
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(local), MASTER_ADDR=address, MASTER_PORT=str(port)
    )
    if device.type == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    else:
        torch.cuda.set_device(device)
        # Read by cuBLAS when it is first used (see `deterministic`).
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    import deepspeed
    import transformers
    from deepspeed.utils import logger

    logger.setLevel("ERROR")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if device.type == "cpu":
        # Compiling DeepSpeed's shared-memory communication takes a minute; gloo gives the same results.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    backend = "gloo" if device.type == "cpu" else "nccl"
    _keep_to_interface(address)
    store = _meeting_point(rank, world, address, port, listener)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world)
    # DeepSpeed uses the process group that exists.
    deepspeed.init_distributed(dist_backend=backend, auto_mpi_discovery=False, verbose=False)
    return Ranks(rank, world, device)


def _meeting_point(rank: int, world: int, address: str, port: int, listener: socket.socket | None) -> dist.Store:
    """The store through which the ranks find each other. By default torch would listen on all addresses of a node."""
    if world == 1:
        if listener is not None:
            listener.close()
        return dist.HashStore()
    if rank > 0:
        return dist.TCPStore(address, port, world)
    listener = listener or socket.create_server((address, port))
    return dist.TCPStore(address, port, world, is_master=True, master_listen_fd=listener.detach())


def _keep_to_interface(address: str) -> None:
    """Let gloo and NCCL use the interface that has this address, unless the environment names an interface."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(found.address == address for found in addresses):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
            if ipaddress.ip_address(address).is_loopback:
                # Between nodes, NCCL chooses the fastest network itself.
                os.environ.setdefault("NCCL_SOCKET_IFNAME", name)
