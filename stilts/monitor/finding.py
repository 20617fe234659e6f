"""Finding: the result of one check of `stilts doctor`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stilts.errors import StiltsError
from stilts.experiment.secrets import redact

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: name of the check.
        state: `ok`, `warning` (runs work, but with limits) or `failed` (runs will not work).
        found: what was found.
        remedy: what to do about it; empty if nothing needs to be done.
    """

    check: str
    state: State
    found: str
    remedy: str = ""


def guarded(name: str, check: Callable[[], Finding], remedy: str) -> Finding:
    """Make a check. One that raises is reported, and the other checks still run.

    Args:
        remedy: for an error that does not say itself what to do.
    """
    try:
        return check()
    except StiltsError as error:
        return Finding(name, "failed", redact(str(error)), remedy)
    except Exception as error:
        return Finding(name, "failed", redact(f"{type(error).__name__}: {error}"), remedy)
