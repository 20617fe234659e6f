"""Errors that are written for the person who made the input, not for the author of the code."""

import difflib
from collections.abc import Iterable, Sequence


class StiltsError(Exception):
    """Something a person can mend. The message says what is wrong, where, and what to do.

    The command line prints the message alone and exits with status 1; any other exception is a defect of stilts.
    """


class Problems(StiltsError):
    """Several mistakes, found in one pass so that they can be mended in one pass.

    Attributes:
        messages: one complete message per mistake, in the order found.
    """

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = list(messages)
        count = len(self.messages)
        head = "1 problem:" if count == 1 else f"{count} problems:"
        super().__init__("\n".join([head, *(f"  - {message}" for message in self.messages)]))


class LimitReached(StiltsError):
    """A run stopped, or did not start, because what a person allowed it to use is used up. Nothing is wrong."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint naming the valid name nearest to a wrong one, or all of them where none is near."""
    names = [str(v) for v in valid]
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"valid: {', '.join(sorted(names))}"
