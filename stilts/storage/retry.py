"""Retries of requests to a bucket that fail for a reason that may pass.

A request that failed for such a reason (no connection, a timeout, status 5xx or 429) is repeated after growing, random
pauses, for `RETRY_SECONDS` in all, or for less time in an interactive command (`stilts/waiting.py`). A request that
cannot succeed (no such bucket, no permission) raises at once, and the message says what to do.

This is not done by tenacity or stamina: how long to go on depends on the error, and the last error must become a
message for people, which would be most of the code below again.
"""

import random
import re
import shlex
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from obstore.exceptions import BaseError

from stilts.errors import StiltsError
from stilts.os_errors import NotWritable
from stilts.storage.protocol import Unreachable
from stilts.waiting import gave_up, noticed, patience

RETRY_SECONDS = 300.0
"""A store that has not answered for so long counts as unreachable; the attempt that needs it is repeated as a whole."""

CREDENTIALS_SECONDS = 30.0
"""How long credentials that are missing or expired are waited for."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 20.0

_NO_BUCKET = (
    r"NoSuchBucket|bucket does not exist|(list request).*status code: 404",
    "there is no such bucket; create it, or correct the URI",
)
_FORBIDDEN = (
    "these credentials may not do that; their role needs to list, read, write and delete below the store's prefix"
)
_PERMANENT = (
    _NO_BUCKET,
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|status (code: )?401",
        "the credentials are refused; check those of this machine",
    ),
    (
        r"AccessDenied|AllAccessDisabled|status (code: )?403",
        _FORBIDDEN,
    ),
    (
        r"PermanentRedirect|status (code: )?301|AuthorizationHeaderMalformed|IllegalLocationConstraint",
        "the bucket is in another region; add ?region=... to the store's URI",
    ),
    (r"InvalidBucketName|KeyTooLong|NotImplemented|status (code: )?501", "the server cannot do that; check the URI"),
)
"""Texts of errors that do not pass, and what a person can do about each."""

_CREDENTIALS = (
    (r"ExpiredToken|token.*expired", "the credentials have expired; renew them"),
    (
        r"169\.254\.169\.254|metadata\.google\.internal|MissingCredentials|NoCredentials|token request",
        "no credentials were found; give this machine a role, a profile or the cloud's environment variables",
    ),
)
"""Errors of credentials. A machine with a role gets new ones every few hours, so these may pass, but soon."""

Answer = TypeVar("Answer")


def retried(ask: Callable[[], Answer], what: str, uri: str, *, transfer: bool = False) -> Answer:
    """Make a request, and repeat it while it fails for a reason that may pass.

    Args:
        what: the action and its place, for messages: `reading s3://bucket/a`.
        uri: the URI that opens the store.
        transfer: whether the request transfers a large file, which takes long even if the server answers.

    Raises:
        StiltsError: the request cannot succeed.
        Unreachable: the request has failed for `RETRY_SECONDS`, or for the time that an interactive command waits.
        FileNotFoundError: there is no such object.
    """
    began, pause = time.monotonic(), FIRST_PAUSE
    server = f"the store {uri}"
    with noticed(server, working=transfer) as wait:
        while True:
            try:
                return ask()
            except StiltsError:
                raise
            except Exception as error:
                waited = time.monotonic() - began + pause
                advice, limit = _judge(error)
                if advice and waited > limit:
                    kind = NotWritable if advice == _FORBIDDEN else StiltsError
                    raise kind(f"{what}: {advice} ({_brief(error)})") from error
                if isinstance(error, FileNotFoundError | FileExistsError) or not isinstance(error, BaseError):
                    raise
                if waited > patience(server, RETRY_SECONDS):
                    gave_up(server)
                    raise Unreachable(_unreachable(what, uri, time.monotonic() - began, error)) from error
                wait.failed(_cause(error) or _brief(error))
            # Random, so that gangs that lost the store at the same time do not come back at the same time.
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE, patience(server, RETRY_SECONDS) / 15)


def _unreachable(what: str, uri: str, seconds: float, error: Exception) -> str:
    return (
        f"{what}: the store has not answered for {seconds:.0f} s ({_brief(error)}). What is stored is safe: run the "
        f"same command again when it is back; `stilts doctor --store {shlex.quote(uri)}` looks for the cause"
    )


def permanent(error: Exception) -> str | None:
    """What a person can do about an error that will not pass; None for an error that may pass."""
    advice, patience = _judge(error)
    return None if patience else advice


def _judge(error: Exception) -> tuple[str | None, float]:
    """Return the advice for an error, and the seconds after which it counts as permanent; None if it may pass."""
    if isinstance(error, FileNotFoundError):
        return _advice(error, (_NO_BUCKET,)), 0.0
    credentials = _advice(error, _CREDENTIALS)
    return (credentials, CREDENTIALS_SECONDS) if credentials else (_advice(error, _PERMANENT), 0.0)


def _advice(error: Exception, table: Sequence[tuple[str, str]]) -> str | None:
    text = str(error)
    return next((advice for signs, advice in table if re.search(signs, text)), None)


def _brief(error: Exception) -> str:
    """The message of an error in one line: with the cause, which obstore tells in its debugging output alone."""
    text = re.sub(r"\s+", " ", str(error).split("\n\nDebug source")[0]).strip()
    text = re.sub(r"^Generic \w+ error: Error performing | in [\d.]+(s|ms|µs|ns)(?= - )", "", text)
    text = text.replace("HTTP error: error sending request", _cause(error) or "no connection")
    return text if len(text) <= 200 else f"{text[:200]}..."


def _cause(error: Exception) -> str | None:
    """Why no connection was made or no answer came: `Connection refused`."""
    debugging = str(error).partition("\n\nDebug source")[2]
    if found := re.search(r'(?:message|error): "([^"]+)"', debugging):
        return found[1].removeprefix("failed to lookup address information: ")
    return "no answer" if re.search(r"TimedOut|kind: Timeout", debugging) else None
