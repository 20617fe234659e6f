"""Errors that users can fix: their messages are written for the author of the input, not for that of the code.

Also helpers that write messages, and one that walks the chain of an exception.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence


class StiltsError(Exception):
    """A mistake that a user can fix. The message says what is wrong, where, and what to do.

    The command line prints only the message and exits with status 1. Any other exception is a defect of stilts.
    """


class Problems(StiltsError):
    """Several mistakes that were found together, so that all of them can be fixed at once.

    Attributes:
        messages: one complete message per mistake, in the order in which they were found.
    """

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = list(messages)
        head = f"{counted(len(self.messages), 'problem')}:"
        super().__init__("\n".join([head, *(f"  - {message}" for message in self.messages)]))


class LimitReached(StiltsError):
    """A run stopped or did not start because a limit of cost or GPU-hours is reached. This is not a failure."""


def chain(error: BaseException, *, context: bool = False) -> Iterator[BaseException]:
    """Yield the error, and then the errors that it was raised from.

    Args:
        context: include errors while whose handling another one was raised without `from`.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        implicit = found.__context__ if context and not found.__suppress_context__ else None
        found = found.__cause__ or implicit


def counted(count: int, noun: str) -> str:
    """Format a number with its noun, which gets an s in the plural: `1 column`, `3 columns`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def sized(size: float) -> str:
    """Format a number of bytes with a suitable unit, as `1.3 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a hint for a wrong name: the most similar valid name, or all valid names if none is similar."""
    names = [str(v) for v in valid]
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"valid: {', '.join(sorted(names))}"
