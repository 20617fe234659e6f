"""Output of a rank: what it and its libraries write to standard output and standard error, and its copies in the store.

Ray redirects both file descriptors of a process to files of its own. A rank writes one line, a mark, to both when a
stage starts and when its attempt has the lease. What follows the last mark is the output of that stage, so that it can
be read by any process of the node, also after the rank was killed.
"""

import json
import mmap
import os
import re
import stat
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from stilts.errors import StiltsError
from stilts.ledger.logs import RankOutput, remove_old_logs, write_output
from stilts.storage.protocol import Store

FIRST_SECONDS = 5.0
"""Seconds from the start of an attempt to the first copy. A shorter stage that does not fail writes none."""
EVERY_SECONDS = 60.0
"""Seconds between two copies of a running stage; one is made only if there is new output."""
WRITE_SECONDS = 30.0
"""How long the end of a failed attempt waits for the store to take the last lines."""

LINES = 200
BYTES = 32_768
LINE_CHARACTERS = 1_000
"""Limits of what is kept of each of the two streams."""

_STAGE = b'=== stilts: {"stage"'
_ATTEMPT = b'=== stilts: {"attempt"'
_STREAMS = ("standard output", "standard error")
_HIDDEN = re.compile(r"^:(job_id|actor_name|task_name):|^=== stilts: \{")
"""Lines that Ray and stilts write for programs."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_section: list[tuple[str, dict[str, Any]]] = []
"""The stage whose output this process writes and facts about the process; empty outside of a gang."""


def output_files() -> tuple[str, ...]:
    """Files behind the standard output and the standard error of this process; none unless both are files."""
    found = []
    for descriptor in (1, 2):
        with suppress(OSError):
            path = _path_of(descriptor)
            status = os.stat(path)
            if stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.fstat(descriptor)):
                found.append(path)
    return tuple(found) if len(found) == 2 else ()


def _path_of(descriptor: int) -> str:
    if sys.platform == "darwin":
        import fcntl

        return fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0").decode()
    return os.readlink(f"/proc/self/fd/{descriptor}")


def begin_stage(name: str, facts: dict[str, Any]) -> None:
    """Mark the start of a stage in the output of this process.

    Args:
        facts: `rank`, `pid`, `node` and `ray_node`.
    """
    _section[:] = [(name, facts)]
    _mark({"stage": name, **facts, "started": time.time()})


def _mark(facts: dict[str, Any]) -> None:
    if not output_files():
        return
    line = f"\n=== stilts: {json.dumps(facts)}\n".encode()
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        with suppress(OSError, ValueError):
            stream.flush()
            os.write(descriptor, line)


def read_output(files: Sequence[str], stage: str, facts: dict[str, Any]) -> RankOutput | None:
    """The last lines that a rank of this node wrote while it ran a stage; None if it has not begun that stage.

    Args:
        files: of its two streams (see `output_files`).
        facts: `rank` and others, for a rank that ended before its first stage.
    """
    parts: list[str] = []
    attempt, known = 0, dict(facts)
    for title, file in zip(_STREAMS, files, strict=True):
        section = _last_section(Path(file))
        if section is None:
            continue
        marked, found, text = section
        if marked and marked.get("stage") != stage:
            return None
        attempt, known = found or attempt, known | marked
        if text:
            parts.append(f"--- {title} ---\n{text}\n")
    rank = int(known.pop("rank", 0))
    return RankOutput(attempt, rank, {**known, "written": time.time()}, "".join(parts))


def _last_section(file: Path) -> tuple[dict[str, Any], int, str] | None:
    """Facts in the last mark of a stage, the attempt marked after it, and the last lines; None without a file."""
    try:
        with file.open("rb") as opened:
            if not os.fstat(opened.fileno()).st_size:
                return {}, 0, ""
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
                begin = max(0, content.rfind(_STAGE))
                attempt = content.rfind(_ATTEMPT, begin)
                first = _first_line(content, begin)
                number = 0 if attempt < 0 else int(_first_line(content, attempt).get("attempt", 0))
                return first, number, _lines(content[max(begin, len(content) - BYTES) :])
    except (OSError, ValueError):
        return None


def _first_line(content: mmap.mmap, begin: int) -> dict[str, Any]:
    """Facts of the mark at a position; none if there is no mark."""
    if content[begin : begin + len(_STAGE)] != _STAGE and content[begin : begin + len(_ATTEMPT)] != _ATTEMPT:
        return {}
    end = content.find(b"\n", begin)
    found = json.loads(content[begin : end if end >= 0 else len(content)].partition(b": ")[2])
    return found if isinstance(found, dict) else {}


def _lines(content: bytes) -> str:
    """The last lines of an output: of a line that was overwritten, such as a progress bar, what stood there last."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in content.decode(errors="replace").split("\n"))
    shown = [_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", line) for line in lines if not _HIDDEN.match(line)]
    cut = [f"{line[:LINE_CHARACTERS]} ..." if len(line) > LINE_CHARACTERS else line for line in shown]
    return "\n".join(cut[-LINES:]).strip("\n")


class OutputCopies:
    """Context manager of one attempt on one rank: copies the last lines of the rank's output to the store.

    A thread copies them shortly after the start, then once a minute if there are new ones, and the context copies them
    at the end of an attempt that did not finish its stage. Outside of a gang, whose output goes to files, it does
    nothing: the output is on the terminal.

    Args:
        attempt: number of the attempt, from the stage's lease.
    """

    def __init__(self, store: Store, name: str, attempt: int) -> None:
        self._store, self._name, self._attempt = store, name, attempt
        section = _section[0] if _section else ("", {})
        self._files = output_files() if section[0] == name else ()
        self._facts = section[1]
        self._stop = threading.Event()
        self._written: str | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "OutputCopies":
        if self._files:
            _mark({"attempt": self._attempt})
            self._thread = threading.Thread(target=self._work, daemon=True, name="output")
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(WRITE_SECONDS)
        if error is not None and self._files and type(error).__name__ != "Stopped":
            writer = threading.Thread(target=self._copy, daemon=True, name="output")
            writer.start()
            writer.join(WRITE_SECONDS)

    def stop(self, seconds: float | None = None) -> None:
        """Copy nothing more. Waits for a copy that is under way, at most for some seconds."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self) -> None:
        wait = FIRST_SECONDS
        while not self._stop.wait(wait):
            wait = EVERY_SECONDS
            self._copy()

    def _copy(self) -> None:
        with suppress(StiltsError, OSError):  # nothing depends on it, and it will be written again
            output = read_output(self._files, self._name, self._facts)
            if output is None or output.text == self._written:
                return
            write_output(self._store, self._name, output)
            if self._written is None and output.rank == 0:
                remove_old_logs(self._store, self._name, output.attempt)
            self._written = output.text
