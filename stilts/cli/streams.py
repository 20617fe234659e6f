"""Standard output and error as a user may leave them: closed, full, read by a program that ends, or not UTF-8."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from stilts.cli.exit_codes import BROKEN_PIPE, FAILED


@contextmanager
def forgiving_output() -> Iterator[None]:
    """Characters that the terminal's encoding lacks are replaced; a closed stream takes everything and shows nothing.

    A reader that closes the pipe ends the program with BROKEN_PIPE; output that cannot be written, as to a full disk,
    with a message and FAILED.
    """
    sys.stdout, sys.stderr = _usable(sys.stdout), _usable(sys.stderr)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        _end(error)
    except SystemExit as end:
        # click and rich turn a broken pipe into an exit with status 1.
        if isinstance(end.__context__, OSError) and end.__context__.errno == errno.EPIPE:
            _end(end.__context__)
        raise


def is_of_output(error: BaseException) -> bool:
    """Whether an error comes from writing to standard output: it names no file."""
    wanted = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG)
    return isinstance(error, OSError) and error.errno in wanted and error.filename is None


def _end(error: OSError) -> None:
    _discard(sys.stdout)
    if error.errno == errno.EPIPE:
        sys.exit(BROKEN_PIPE)
    with suppress(OSError):
        print(f"error: standard output cannot be written: {error.strerror}", file=sys.stderr, flush=True)
    sys.exit(FAILED)


def _usable(stream: TextIO | None) -> TextIO:
    if stream is None or stream.closed:
        return open(os.devnull, "w", encoding="utf-8")
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return stream


def _discard(stream: TextIO) -> None:
    """Point a stream's descriptor at nothing, so that what is still buffered raises no error at the end."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
