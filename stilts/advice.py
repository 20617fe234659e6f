"""Advice: what a person can do about an error of a library or of the machine.

`RULES` is a table of kinds of errors. The errors of torch, httpx, requests and huggingface_hub are recognised by the
names of their classes and by their texts, so that none of these libraries is imported. Other modules describe errors of
other sources: `os_errors.py` those about a path, `storage/retry.py` those of a bucket's server, and
`schedule/causes.py` losses that are retried.
"""

import errno
import re
import traceback
from dataclasses import dataclass
from pathlib import Path

from stilts.errors import chain

_PACKAGE = Path(__file__).parent
_CALLERS = ("run/gang", "cli", "api")
"""Parts of the package that only call the code in which errors happen; their lines say nothing about an error."""


@dataclass(frozen=True)
class Rule:
    """Errors of one kind, and what to do about them.

    Attributes:
        advice: a sentence without a full stop.
        classes: names of exception classes, those that an exception's class inherits from included.
        text: regular expression that is searched in `NAME: MESSAGE`.
        numbers: values of `errno`.
    """

    advice: str
    classes: tuple[str, ...] = ()
    text: str | None = None
    numbers: tuple[int, ...] = ()

    def matches(self, error: BaseException) -> bool:
        """Whether the error is of this kind."""
        if isinstance(error, OSError) and error.errno in self.numbers:
            return True
        if any(kind.__name__ in self.classes for kind in type(error).__mro__):
            return True
        return self.text is not None and re.search(self.text, f"{type(error).__name__}: {error}") is not None


NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""Values of `errno` of a full disk or an exhausted quota."""
NO_ROOM_TEXT = r"No space left on device|Disk quota exceeded"
"""Their texts, for libraries that raise errors of their own."""

MEMORY = (
    "lower runtime.tokens_per_micro_batch, which changes no key (the stage resumes), set "
    "runtime.gradient_checkpointing: true, or with several GPUs raise runtime.ranks and runtime.zero_stage"
)
RULES: tuple[Rule, ...] = (
    Rule(
        f"the GPU has too little free memory: {MEMORY}; nvidia-smi shows what else uses the GPU",
        ("OutOfMemoryError",),
        r"CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED",
    ),
    Rule(
        f"the machine has too little free memory: {MEMORY}, or lower runtime.max_parallel: fewer trials share it",
        ("MemoryError", "ArrowMemoryError"),
        r"DefaultCPUAllocator: can't allocate memory|std::bad_alloc|Cannot allocate memory",
        (errno.ENOMEM,),
    ),
    Rule(
        "the disk is full: free some space there, or use another store, TMPDIR or STILTS_CACHE",
        text=NO_ROOM_TEXT,
        numbers=NO_ROOM,
    ),
    Rule(
        "this torch has no code for this GPU: install a build of torch for its generation (pytorch.org/get-started), "
        "or set runtime.accelerator: cpu",
        text=r"no kernel image is available|is not compatible with the current PyTorch installation",
    ),
    Rule(
        "the NVIDIA driver is too old for this torch: update the driver, or install a torch for an older CUDA",
        text=r"driver version is insufficient|NVIDIA driver on your system is too old",
    ),
    Rule(
        "no GPU can be used: check nvidia-smi and CUDA_VISIBLE_DEVICES, or set runtime.accelerator: cpu",
        text=r"No CUDA GPUs are available|Found no NVIDIA driver|no CUDA-capable device|invalid device ordinal",
    ),
    Rule(
        "a kernel read outside of a tensor, often because of a label or token id that is too large: "
        "runtime.accelerator: cpu gives the exact error",
        text=r"device-side assert|an illegal memory access was encountered",
    ),
    Rule(
        "the GPUs of a trial cannot reach each other: NCCL_DEBUG=INFO shows why (the lines are in `stilts logs`), "
        "NCCL_SOCKET_IFNAME names the network interface, and runtime.ranks: 1 needs no connection",
        ("DistBackendError",),
        r"NCCL (error|communicator)|ncclInternalError|ncclSystemError|ncclUnhandledCudaError",
    ),
    Rule(
        "the hub's offline mode is on: unset HF_HUB_OFFLINE, or fill the Hugging Face cache (HF_HOME) where there is "
        "a network; `stilts data prepare` puts all data into the store",
        ("OfflineModeIsEnabled",),
        r"HF_HUB_OFFLINE|offline mode is enabled",
    ),
    Rule(
        "the hub refuses access: accept the terms of the repository on huggingface.co, and set HF_TOKEN",
        ("GatedRepoError",),
        r"401 Client Error|403 Client Error",
    ),
    Rule(
        "a server cannot be reached: check the network, a proxy (HTTPS_PROXY) and the name of the server; `stilts data "
        "prepare` reads all data on a machine with a network, and HF_HUB_OFFLINE=1 uses only what is cached",
        (
            *("ConnectError", "ConnectTimeout", "ReadTimeout", "gaierror", "NewConnectionError", "MaxRetryError"),
            *("LocalEntryNotFoundError", "ProxyError", "NetworkError", "ConnectionRefusedError"),
        ),
        r"Temporary failure in name resolution|Name or service not known|Network is unreachable|Max retries exceeded",
        (errno.ENETUNREACH, errno.EHOSTUNREACH),
    ),
    Rule(
        "the limit on open files is too low: raise it with `ulimit -n 65536` before the command or `ray start`",
        text=r"Too many open files",
        numbers=(errno.EMFILE, errno.ENFILE),
    ),
)
"""What to do about each kind of error. The first rule that matches is used."""


def advice(error: BaseException) -> str | None:
    """What a person can do about an error, or about one that it was raised from or while handling; None if unknown."""
    for found in chain(error, context=True):
        for rule in RULES:
            if rule.matches(found):
                return rule.advice
    return None


def in_one_line(error: BaseException) -> str:
    """An error in one line: its class and message, the file that it is about or the line of stilts, and the advice."""
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    found = advice(error)
    place = "" if found is not None and getattr(error, "filename", None) else _location(error)
    return "; ".join(filter(None, (f"{text}{place}", found)))


def _location(error: BaseException) -> str:
    """The last line of stilts that the error passed through, as ` (stilts/train/loop.py:120)`; empty if none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_PACKAGE) and not _is_caller(path):
            return f" ({path.relative_to(_PACKAGE.parent).as_posix()}:{frame.lineno})"
    return ""


def _is_caller(path: Path) -> bool:
    inside = path.relative_to(_PACKAGE).as_posix()
    return any(inside.startswith(f"{part}/") for part in _CALLERS)
