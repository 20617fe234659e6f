"""Advice: which errors of libraries and of the machine are known, and the line that is made of an error."""

import errno
import socket

import pytest
import requests
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from stilts.advice import advice, in_one_line
from stilts.data.mixing import shares
from stilts.errors import StiltsError


def named(name: str, text: str) -> Exception:
    """An error of httpx, which newer releases of huggingface_hub use and which need not be installed here."""
    return type(name, (Exception,), {})(text)


def refused() -> Exception:
    """The error of requests when nothing listens, as it is raised."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    try:
        requests.get(f"http://127.0.0.1:{port}", timeout=5)
    except requests.ConnectionError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "tokens_per_micro_batch"),
        (RuntimeError("CUDA error: out of memory"), "GPU has too little free memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), "gradient_checkpointing"),
        (MemoryError(), "machine has too little free memory"),
        (RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory"), "machine has"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "runtime.max_parallel"),
        (named("ConnectError", "[Errno -2] Name or service not known"), "cannot be reached"),
        (named("ReadTimeout", "timed out"), "cannot be reached"),
        (refused(), "cannot be reached"),
        (socket.gaierror(-3, "Temporary failure in name resolution"), "cannot be reached"),
        (LocalEntryNotFoundError("Cannot find an appropriate cached snapshot folder"), "cannot be reached"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "cannot be reached"),
        (OfflineModeIsEnabled("Cannot reach huggingface.co: offline mode is enabled."), "unset HF_HUB_OFFLINE"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "disk is full"),
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), "no code for this GPU"),
        (RuntimeError("The NVIDIA driver on your system is too old (found version 11040)"), "driver is too old"),
        (RuntimeError("CUDA error: device-side assert triggered"), "accelerator: cpu"),
        (RuntimeError("NCCL error in: ProcessGroupNCCL.cpp:1275, unhandled system error"), "NCCL_DEBUG=INFO"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
    ],
)  # fmt: skip
def test_known_errors_have_an_advice(error: Exception, said: str) -> None:
    assert said in (advice(error) or "")
    assert in_one_line(error).startswith(f"{type(error).__name__}")
    assert said in in_one_line(error)


@pytest.mark.parametrize(
    "error", [ValueError("bad data"), KeyError("x"), RuntimeError("shape mismatch"), StiltsError()]
)
def test_errors_of_the_program_have_none(error: Exception) -> None:
    assert advice(error) is None


def test_the_advice_is_that_of_the_first_known_error_of_a_chain() -> None:
    error = StiltsError("cannot write the weights")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert "disk is full" in (advice(error) or "")
    error.__cause__.__context__ = error
    assert "disk is full" in (advice(error) or "")


def test_a_full_disk_names_the_path() -> None:
    assert "'/data/weights'" in in_one_line(OSError(errno.ENOSPC, "No space left on device", "/data/weights"))


def test_the_last_line_of_stilts_is_named() -> None:
    with pytest.raises(AttributeError) as found:
        shares({"a": 1}, None)  # type: ignore[arg-type]
    assert " (stilts/data/mixing.py:" in in_one_line(found.value)
    assert in_one_line(ValueError("bad")) == "ValueError: bad"
