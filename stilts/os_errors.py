"""Errors of file systems as messages: which path, how much room was needed, and what to do.

Every place that writes to a disk passes its OSErrors through `explained`, so that the message about a full disk, a
read-only disk or a path that is too long is the same wherever the error happens.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stilts.advice import NO_ROOM, NO_ROOM_TEXT, advice
from stilts.errors import StiltsError, sized


class DiskFull(StiltsError):
    """There is no room for a file, or a quota or a limit on the size of files is reached."""


class NotWritable(StiltsError):
    """This process may not write there, or the file system is read-only."""


TEMPORARY = "the temporary folder (TMPDIR)"
HUB_CACHE = "the Hugging Face cache (HF_HOME)"
CACHE = "the cache (STILTS_CACHE)"
"""What a path is a part of, for messages, with the variable that names another place."""

FULL = (*NO_ROOM, errno.EFBIG)
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_REMEDIES = {
    errno.ENOTDIR: "a part of the path is a file; give another path",
    errno.EISDIR: "a folder is in the place of the file; remove it, or give another path",
    errno.EEXIST: "a file is in the place of the folder; remove it, or give another path",
    errno.ENOTEMPTY: "the folder is not empty; remove it, or give another path",
    errno.ENAMETOOLONG: "give a shorter path or shorter names",
    errno.ELOOP: "its links lead in a circle; correct them",
    errno.EOPNOTSUPP: "its file system cannot do that; give a folder on another one",
    errno.EIO: "the disk reports an error of its hardware or network; look at the system's log and check the disk",
}
_OF_PROCESS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Limits of the process or the machine that have nothing to do with the path."""
_NO_SPACE = re.compile(rf"{NO_ROOM_TEXT}|File too large|os error (?:28|122|27)\b")


@contextmanager
def explained(act: str, path: Path, *, what: str = "", need: int | None = None) -> Iterator[None]:
    """Turn errors of the file system into a StiltsError with the path and the remedy. Other errors pass.

    Args:
        act: `write`, `read` or `remove`.
        what: what the path is a part of, such as `the store`.
        need: number of bytes to write, if it is known.
    """
    try:
        yield
    except StiltsError:
        raise
    except Exception as error:
        message = explain(error, act, path, what=what, need=need)
        if message is None:
            raise
        raise message from error


def explain(error: Exception, act: str, path: Path, *, what: str = "", need: int | None = None) -> StiltsError | None:
    """The StiltsError for an error of the file system; None for any other error. Arguments as in `explained`."""
    number = error.errno if isinstance(error, OSError) else None
    if is_full(error):
        size = "" if need is None else f", which needs {sized(need)}"
        reason = "; files may not be larger here, see `ulimit -f`" if number == errno.EFBIG else ""
        where = f"the disk of {what}" if what else "the disk"
        return DiskFull(
            f"{where} is full (writing {path}{size}{reason}); nothing that was stored is lost: free some space and run "
            "the same command again"
        )
    if not isinstance(error, OSError):
        return None
    inner = "" if error.filename in (None, str(path)) else f" ({error.filename})"
    subject = f"{what} cannot {act}" if what else f"cannot {act}"
    if number in _OF_PROCESS:
        return StiltsError(f"{subject} {path}: {error.strerror}{inner}; {advice(error)}")
    if number in READ_ONLY:
        remedy = "give this user the permission to write there, mount it for writing, or name another folder"
        if act == "read":
            remedy = "give this user the permission to read it"
        return NotWritable(f"{subject} {path}: {error.strerror}{inner}; {remedy}")
    if number == errno.ENOENT and act == "write":  # in /proc, say; a file that is read may be missing for good reasons
        return StiltsError(f"{subject} {path}: {error.strerror}{inner}; nothing can be made there, give another path")
    if number in _REMEDIES:
        return StiltsError(f"{subject} {path}: {error.strerror}{inner}; {_REMEDIES[number]}")
    return None


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk is full, or that a quota or the limit on the size of files is reached."""
    number = error.errno if isinstance(error, OSError) else None
    # safetensors and Arrow write files themselves, and raise errors of their own.
    return number in FULL or (number is None and _NO_SPACE.search(str(error)) is not None)
