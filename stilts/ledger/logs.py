"""Logs: the last lines that the ranks of a stage wrote, kept in the store until the stage is done.

Layout: `stages/NAME/logs/ATTEMPT-rank-N.txt`, where ATTEMPT is the number of the stage's lease; 0 stands for a rank
that ended before its attempt had the lease. The first line of a file is JSON: `attempt`, `rank`, `pid`, `node` (host
name), `ray_node` (id), and `started` and `written` in seconds since 1970, as far as they are known. The output follows,
without secrets. A file holds at most `MOST_BYTES`, and a stage at most the files of its last `KEPT_ATTEMPTS` attempts.
"""

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stilts.errors import StiltsError, nearest
from stilts.experiment.secrets import redact
from stilts.identity.stage import SHORT
from stilts.ledger.record import read_ending, read_stage, stage_path
from stilts.storage.lease import holder
from stilts.storage.parallel import parallel_each, parallel_map
from stilts.storage.protocol import Store

LOGS = "logs"
"""Name of the folder of logs in the folder of a stage."""
MOST_BYTES = 80_000
KEPT_ATTEMPTS = 3
LISTED = 10
"""Largest number of stages that an error message lists."""
DEFAULT_STORE = "stilts-store"

_FILE = re.compile(r"(\d+)-rank-(\d+)\.txt")
_FACTS = ("pid", "node", "ray_node", "started", "written")


@dataclass(frozen=True)
class RankOutput:
    """The last lines of one rank in one attempt at a stage.

    Attributes:
        attempt: number of the attempt; 0 if the rank ended before its attempt had the lease.
        facts: `pid`, `node`, `ray_node`, `started` and `written`, as far as they are known.
        text: the lines.
    """

    attempt: int
    rank: int
    facts: dict[str, Any]
    text: str

    def to_json(self) -> dict[str, Any]:
        """Everything in plain JSON types."""
        known = {fact: self.facts.get(fact) for fact in _FACTS}
        return {"attempt": self.attempt, "rank": self.rank, **known, "text": self.text}


@dataclass(frozen=True)
class StageLog:
    """What the store knows of the last attempts at a stage.

    Attributes:
        status: done, running, failed, diverged, lost (another attempt follows) or waiting.
        detail: who works on the stage if it is running, otherwise empty.
        ending: how the last attempt ended that did not finish the stage (see `read_ending`); empty if not known.
        attempts: numbers of the attempts of which there is output.
        ranks: the output that was asked for, by attempt and rank.
    """

    stage: str
    status: str
    detail: str
    ending: dict[str, Any]
    attempts: list[int]
    ranks: list[RankOutput]

    def to_json(self) -> dict[str, Any]:
        """Everything in plain JSON types."""
        return {**asdict(self), "ranks": [rank.to_json() for rank in self.ranks]}


def log_command(name: str, uri: str) -> str:
    """The command that shows the log of a stage."""
    default = uri == DEFAULT_STORE or ("://" not in uri and Path(uri).absolute() == Path(DEFAULT_STORE).absolute())
    return f"stilts logs {name}" if default else f"stilts logs {name} --store {shlex.quote(uri)}"


def match_stage(names: Iterable[str], wanted: str) -> str:
    """The only one of these stages whose name or key begins with `wanted`; a whole name or name without key has
    precedence.

    Raises:
        StiltsError: there is none, or there are several.
    """
    known = sorted(set(names))
    if wanted in known:
        return wanted
    whole = [name for name in known if name[: -SHORT - 1] == wanted]
    # A key may be given whole, a name has only its first digits.
    begun = [name for name in known if name.startswith(wanted) or name[-SHORT:].startswith(wanted[:SHORT])]
    matches = whole or (begun if wanted else [])
    if len(matches) == 1:
        return matches[0]
    if matches:
        shown = ", ".join(matches[:5]) + (f" and {len(matches) - 5} more" if len(matches) > 5 else "")
        raise StiltsError(f"{wanted!r} could be {len(matches)} stages: {shown}; give more of the name or of the key")
    hint = nearest(wanted, known) if known else "there is none at all"
    if len(known) > LISTED and hint.startswith("valid:"):
        hint = f"there are {len(known)}, which `stilts status` and `stilts plan` list"
    raise StiltsError(f"no stage {wanted!r}; {hint}")


def stage_log(store: Store, name: str, attempt: int | None = None, rank: int | None = None) -> StageLog:
    """The log of a stage, as the store has it.

    Args:
        attempt: number of the attempt; None for the last one.
        rank: None for all ranks.

    Raises:
        StiltsError: there is no output of that attempt or rank, but of others.
    """
    files = _files(store, name)
    chosen = _latest(store, files) if attempt is None else attempt
    attempts = sorted({found for found, _ in files})
    wanted = sorted(key for key in files if key[0] == chosen and rank in (None, key[1]))
    if files and not wanted:
        ranks = sorted({found for _, found in files})
        raise StiltsError(
            f"{name} has no output of attempt {chosen}{'' if rank is None else f', rank {rank}'}; there are the "
            f"attempts {_listed(attempts)} and the ranks {_listed(ranks)}"
        )
    outputs = parallel_map(store, lambda key: _read(store, files[key], *key), wanted)
    status, detail, ending = _state(store, name)
    return StageLog(name, status, detail, ending, attempts, [output for output in outputs if output is not None])


def last_output(store: Store, name: str, rank: int) -> RankOutput | None:
    """What one rank wrote in the last attempt that left output; None if there is none."""
    files = _files(store, name)
    key = _latest(store, files), rank
    return _read(store, files[key], *key) if key in files else None


def _latest(store: Store, files: dict[tuple[int, int], str]) -> int:
    """The attempt that was written last. It may have the number 0, if it ended before it had the lease."""
    first = {attempt: rank for attempt, rank in sorted(files, reverse=True)}
    if len(first) < 2 or 0 not in first:
        return max(first, default=0)
    keys = list(first.items())
    found = parallel_map(store, lambda key: _read(store, files[key], *key), keys)
    written = [(float(output.facts.get("written") or 0.0), output.attempt) for output in found if output is not None]
    return max(written, default=(0.0, 0))[1]


def _state(store: Store, name: str) -> tuple[str, str, dict[str, Any]]:
    """Status of a stage, who works on it, and how its last attempt ended."""
    ending = read_ending(store, name) or {}
    holding = holder(store, stage_path(name))
    if holding is not None:
        return "running", holding, ending
    if ending:
        return ending["status"], "", ending
    return ("waiting" if read_stage(store, name) is None else "done"), "", ending


def write_output(store: Store, name: str, output: RankOutput) -> None:
    """Write the last lines of a rank, without secrets, replacing what was written of it before."""
    head = json.dumps({"attempt": output.attempt, "rank": output.rank, **output.facts}, ensure_ascii=False)
    text = redact(output.text).encode(errors="replace")[-MOST_BYTES:]
    path = f"{stage_path(name)}/{LOGS}/{output.attempt}-rank-{output.rank}.txt"
    store.write(path, head.encode(errors="replace") + b"\n" + text)


def remove_old_logs(store: Store, name: str, attempt: int) -> None:
    """Remove the output of attempts before the last `KEPT_ATTEMPTS`, of which `attempt` is the latest."""
    old = [path for (found, _), path in _files(store, name).items() if found <= attempt - KEPT_ATTEMPTS]
    parallel_each(store, store.remove, old)


def clear_logs(store: Store, name: str) -> None:
    """Remove all output of a stage."""
    store.remove(f"{stage_path(name)}/{LOGS}")


def _files(store: Store, name: str) -> dict[tuple[int, int], str]:
    """Return the path of each stored output file, by its (attempt, rank)."""
    folder = f"{stage_path(name)}/{LOGS}"
    found = ((_FILE.fullmatch(file), file) for file in store.list(folder))
    return {(int(match[1]), int(match[2])): f"{folder}/{file}" for match, file in found if match is not None}


def _read(store: Store, path: str, attempt: int, rank: int) -> RankOutput | None:
    content = store.read(path)
    if content is None:  # removed since it was listed: the stage is done
        return None
    head, _, text = content.decode(errors="replace").partition("\n")
    try:
        facts = json.loads(head)
    except ValueError:
        facts = None
    known = facts if isinstance(facts, dict) else {}
    return RankOutput(attempt, rank, {fact: known[fact] for fact in _FACTS if fact in known}, text)


def _listed(numbers: list[int]) -> str:
    return ", ".join(str(number) for number in numbers[:10]) + (" ..." if len(numbers) > 10 else "")
