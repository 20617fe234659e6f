"""Checks whether this machine can run experiments. Each check reports what it found and what to do about it."""

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from stilts.monitor import machine, services
from stilts.monitor.finding import Finding, guarded

_PACKAGES = ("stilts", "ray", "torch", "transformers", "datasets", "deepspeed", "pyarrow", "optuna")
_ANSWER_SECONDS = 30.0
_NETWORK = "check the address, the credentials and the network"


def diagnose(store: str, ray_address: str | None, study: str | None = None) -> list[Finding]:
    """Check versions, GPUs, DeepSpeed's ops, this machine, the store, the cluster, the study's database and the hub.

    Args:
        store: URI of the store that experiments write to. Nothing is left in it.
        ray_address: address of the cluster to connect to; None if runs start a local Ray.
        study: URL of the database of a study; None for no check.
    """
    waiting = [
        _Waiting("store", lambda: services.store_findings(store), store),
        _Waiting("hub", lambda: [services.hub()], "the hub"),
    ]
    if study is not None:
        waiting.append(_Waiting("study", lambda: [services.study(study)], "the database of the study"))
    here: list[tuple[str, Callable[[], Finding]]] = [
        *((package, lambda package=package: _version(package)) for package in _PACKAGES),
        ("GPUs", _gpus),
        ("DeepSpeed ops", _ops),
        ("memory", machine.memory),
        ("temporary space", machine.temporary),
        ("open files", machine.open_files),
        ("ports", machine.ports),
    ]
    findings = [guarded(name, check, "install stilts again, or report this") for name, check in here]
    findings.append(
        guarded("disk", lambda: services.disk(store), "correct the address of the store, or use another one")
    )
    findings += _all("Ray", lambda: services.ray_findings(ray_address))
    for one in waiting:
        findings += one.findings()
    return findings


def to_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """Convert the findings to plain JSON types."""
    return [asdict(finding) for finding in findings]


class _Waiting:
    """A check of a server, in a thread, so that all servers are waited for at the same time and not too long."""

    def __init__(self, name: str, check: Callable[[], Iterable[Finding]], server: str) -> None:
        self._name, self._server = name, server
        self._findings: list[Finding] = []
        self._thread = threading.Thread(target=lambda: self._findings.extend(_all(name, check)), daemon=True)
        self._thread.start()

    def findings(self) -> list[Finding]:
        """What was found; a failure if the server does not answer within `_ANSWER_SECONDS`."""
        self._thread.join(_ANSWER_SECONDS)
        if self._findings:
            return self._findings
        return [Finding(self._name, "failed", f"{self._server}: no answer in {_ANSWER_SECONDS:.0f} s", _NETWORK)]


def _all(name: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of a check that has several; an error ends it with a last finding."""
    found: list[Finding] = []

    def collect() -> Finding:
        found.extend(check())
        return found.pop()

    last = guarded(name, collect, _NETWORK)
    return [*found, last]


def _version(package: str) -> Finding:
    try:
        return Finding(package, "ok", version(package))
    except PackageNotFoundError:
        return Finding(package, "failed", "not installed", "run pip install stilts again")


def _gpus() -> Finding:
    import torch

    if not torch.cuda.is_available():
        remedy = "for large models, use a machine with GPUs, or a cluster (RAY_ADDRESS)"
        return Finding("GPUs", "warning", "none: stages train on the CPU, which serves small models only", remedy)
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found = f"{len(names)} x {names[0]}, NCCL {torch.cuda.nccl.version()}"
    if not torch.cuda.is_bf16_supported():
        return Finding("GPUs", "warning", f"{found}, no bf16", "set recipe.precision: fp32")
    return Finding("GPUs", "ok", f"{found}, bf16")


def _ops() -> Finding:
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # otherwise DeepSpeed warns that it found no accelerator
    import deepspeed
    from deepspeed.git_version_info import installed_ops

    compatible = [name for name, works in deepspeed.ops.__compatible_ops__.items() if works]
    installed = [name for name, there in installed_ops.items() if there]
    found = f"prebuilt: {', '.join(installed) or 'none'}; can be built here: {len(compatible)}"
    return Finding("DeepSpeed ops", "ok", f"{found} (none is required)")
