"""Resume state: the state from which an interrupted stage continues.

A state is one folder:

- `state.safetensors`: the unsharded fp32 weights and optimizer moments, by parameter name;
- `best.safetensors`: the weights with the best dev score so far, if there are any;
- `state.json`: the step, the curves, and a digest of the recipe and the data;
- `manifest.json`: a digest of each file, written last.

A state contains no pickle and does not depend on the number of ranks or on the ZeRO stage, so that a stage can resume
on other machines. The states of random number generators and AdamW's step counts are not stored, because they are
functions of the seed, the step and the rank.

On a CPU with the same number of ranks, a stage that was killed and resumed ends with the same bits as an uninterrupted
one. With another number of ranks or another ZeRO stage, sums are computed in another order: without dropout, losses and
weights agree to 1e-5 (1e-7 was measured over twelve steps); with dropout, each rank draws its own masks, so that the
remaining steps are another random sample. Both are tested in `tests/train/test_kills.py`.

The training waits while the tensors are copied. A thread writes the copies, one state at a time.

A new state is written to a temporary folder, which is then renamed. A kill at any moment leaves the old state, the new
one, or no state that matches its manifest; in the last case the stage starts over. The temporary folder has a random
name, because an attempt that was paused and whose lease was taken over may continue to write when it wakes up.
"""

import hashlib
import json
import logging
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stilts.encoders.checkpoint_files import safetensors_problems
from stilts.os_errors import explained
from stilts.storage.local import sync_folder, sync_tree
from stilts.train.copies import BackgroundWrite, HostCopies
from stilts.train.engine import Engine
from stilts.train.ranks import Ranks
from stilts.train.sharded import is_divided, part_of_rank

log = logging.getLogger(__name__)

LAYOUT = 2
"""Which tensors a state holds. It is part of the digest, so that a state of another layout is not continued. 2: of the
input embeddings the rows in use (`rows.py`)."""
STATE, BEST, META, MANIFEST = "state.safetensors", "best.safetensors", "state.json", "manifest.json"


@dataclass(frozen=True)
class ResumeStore:
    """Storage of the resume state of one stage. Only the leader reads and writes it.

    Attributes:
        path: a local or shared folder that belongs to this stage alone.
        saved: called by the leader with `path` after each complete state, for instance to upload it.
        newer: called by the leader with the step of the local state (-1 if there is none); returns the folder of a
            later state from elsewhere, or None.
        confirm: called by the leader before it writes; raises if another attempt holds the lease now.

    `saved` and `confirm` are called in the thread that writes.
    """

    path: Path
    saved: Callable[[Path], None] | None = None
    newer: Callable[[int], Path | None] | None = None
    confirm: Callable[[], None] = lambda: None
    _thread: BackgroundWrite = field(default_factory=BackgroundWrite, init=False, compare=False, repr=False)
    _state: HostCopies = field(default_factory=HostCopies, init=False, compare=False, repr=False)
    _best: HostCopies = field(default_factory=HostCopies, init=False, compare=False, repr=False)

    def save(self, engine: Engine, meta: dict[str, Any], best: dict[str, torch.Tensor] | None, ranks: Ranks) -> None:
        """Copy a new state and begin to write it, in a thread of the leader (collective). It replaces the old one.

        Args:
            meta: plain JSON, which `find` returns again.
            best: the weights with the best dev score so far, which are not changed any more; None if there are none.

        Raises:
            Exception: as `wait`, for the state before.
        """
        self.wait()
        ranks.barrier()  # the leader may have waited for the disk
        if not ranks.leader:
            for _ in engine.state():
                pass
            return
        tensors = self._state.take(engine.state())
        on_gpu = best is not None and any(tensor.device.type == "cuda" for tensor in best.values())
        copied = self._best.take(best.items()) if best is not None and on_gpu else best
        self._thread.start(partial(self._explained_write, tensors, meta, copied))

    def check(self) -> None:
        """Raise the error of a write that has failed, without waiting for one that is under way."""
        self._thread.check()

    def wait(self) -> None:
        """Wait until the last state that was saved is complete.

        Raises:
            DiskFull, NotWritable: the disk is full or read-only.
            Exception: what `saved` and `confirm` raise.
        """
        self._thread.wait()

    def end(self) -> None:
        """Wait for a write that is under way, whatever comes of it."""
        self._thread.end()

    def _explained_write(
        self, tensors: dict[str, torch.Tensor], meta: dict[str, Any], best: dict[str, torch.Tensor] | None
    ) -> None:
        need = sum(tensor.nbytes for state in (tensors, best or {}) for tensor in state.values())
        with explained("write", self.path, what="the resume state", need=need):
            self._write(tensors, meta, best)

    def _write(
        self, tensors: dict[str, torch.Tensor], meta: dict[str, Any], best: dict[str, torch.Tensor] | None
    ) -> None:
        self.confirm()
        writing, old = self._sibling("writing"), self._sibling("old")
        shutil.rmtree(writing, ignore_errors=True)
        fresh = writing / uuid.uuid4().hex
        try:
            fresh.mkdir(parents=True)
            save_file(tensors, fresh / STATE)
            if best is not None:
                save_file(best, fresh / BEST)
            self._write_meta(fresh, meta)
            sync_tree(fresh)
            self.confirm()
        except Exception:
            shutil.rmtree(writing, ignore_errors=True)  # a half written state would keep the disk full
            raise
        shutil.rmtree(old, ignore_errors=True)
        if self.path.exists():
            self.path.rename(old)
        fresh.rename(self.path)
        sync_folder(self.path.parent)  # the older state goes only when the new one has its name on the disk
        for folder in (old, writing):
            shutil.rmtree(folder, ignore_errors=True)
        if self.saved is not None:
            self.saved(self.path)

    def _write_meta(self, fresh: Path, meta: dict[str, Any]) -> None:
        (fresh / META).write_text(json.dumps(meta))
        digests = {file.name: _digest(file) for file in sorted(fresh.iterdir())}
        (fresh / MANIFEST).write_text(json.dumps(digests))

    def _sibling(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}")

    def find(self, ranks: Ranks) -> "ResumeState | None":
        """Return the newest complete state on every rank, or None if there is none (collective)."""
        found: Any = None
        if ranks.leader:
            folder = self._newest()
            if folder is not None:
                found = (folder, json.loads((folder / META).read_text()), (folder / BEST).is_file())
        found = ranks.broadcast(found)
        if found is None:
            return None
        folder, meta, has_best = found
        return ResumeState(folder, meta, has_best, ranks)

    def _newest(self) -> Path | None:
        here = (self.path, *self._sibling("writing").glob("*"), self._sibling("old"))
        found = next((folder for folder in here if _complete(folder)), None)
        if self.newer is None:
            return found
        step = -1 if found is None else json.loads((found / META).read_text())["step"]
        elsewhere = self.newer(step)
        return elsewhere if elsewhere is not None and _complete(elsewhere) else found

    def clear(self) -> None:
        """Remove the resume state; called when the stage is done."""
        for folder in (self.path, self._sibling("writing"), self._sibling("old")):
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class ResumeState:
    """A complete resume state. The leader reads its tensors and broadcasts them one by one; all methods are collective.

    Attributes:
        folder: folder of the state; only the leader reads it.
        meta: the `meta` that was passed to `save`.
        has_best: whether the state holds best weights.
    """

    folder: Path
    meta: dict[str, Any]
    has_best: bool
    ranks: Ranks

    def load_weights(self, model: torch.nn.Module) -> None:
        """Load the fp32 weights into a model that has no engine yet."""
        with self._tensors() as fetch:
            parameter: Any
            for name, parameter in model.named_parameters():
                value = fetch(f"weight.{name}", getattr(parameter, "ds_shape", parameter.shape))
                if is_divided(parameter):
                    parameter.ds_tensor.data.copy_(part_of_rank(parameter, value))
                else:
                    parameter.data = value.to(parameter.device)

    def load_optimizer(self, engine: Engine, steps: Mapping[str | None, int]) -> None:
        """Put weights, moments and step counts (see `Engine.restore`) into a fresh engine."""
        with self._tensors() as fetch:
            engine.restore(fetch, steps)

    def best(self) -> dict[str, torch.Tensor] | None:
        """The weights with the best dev score so far, on the CPU of every rank; None if there are none."""
        if not self.has_best:
            return None
        return self.ranks.broadcast(load_file(self.folder / BEST) if self.ranks.leader else None)

    def _tensors(self) -> "_Tensors":
        return _Tensors(self.folder / STATE, self.ranks)


class _Tensors:
    """Context manager around a function of (name, shape), which reads a tensor on the leader and broadcasts it."""

    def __init__(self, path: Path, ranks: Ranks) -> None:
        self.path = path
        self.ranks = ranks
        self.file: Any = None

    def __enter__(self) -> Callable[[str, torch.Size], torch.Tensor]:
        if self.ranks.leader:
            self.file = safe_open(self.path, framework="pt").__enter__()
        return self._fetch

    def __exit__(self, *error: Any) -> None:
        if self.file is not None:
            self.file.__exit__(*error)

    def _fetch(self, name: str, shape: torch.Size) -> torch.Tensor:
        if self.ranks.leader:
            value = self.file.get_tensor(name).to(self.ranks.device)
        else:
            value = torch.empty(shape, device=self.ranks.device)
        return self.ranks.share(value)


def _complete(folder: Path) -> bool:
    """Whether the folder has a manifest, all files match it, and the tensor files are valid safetensors."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return False
    try:
        digests = json.loads(manifest.read_text())
    except ValueError:
        digests = {}
    named = {STATE, META} <= set(digests) <= {STATE, BEST, META} if isinstance(digests, dict) else False
    complete = named and all((folder / n).is_file() and _digest(folder / n) == d for n, d in digests.items())
    if complete:
        problems = [p for name in digests if name != META for p in safetensors_problems(folder / name)]
        complete = not problems
    if not complete:
        log.warning("%s: the resume state is damaged and is not used", folder)
    return complete


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
