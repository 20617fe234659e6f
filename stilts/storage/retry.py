"""Retries of requests to a bucket that fail for a reason that may pass.

A request that failed for such a reason (no connection, a timeout, status 5xx or 429) is repeated after growing, random
pauses, for `RETRY_SECONDS` in all. A request that cannot succeed (no such bucket, no permission) raises at once, and
the message says what to do.

This is not done by tenacity or stamina: how long to go on depends on the error, and the last error must become a
message for people, which would be most of the code below again.
"""

import random
import re
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from obstore.exceptions import BaseError

from stilts.errors import StiltsError
from stilts.storage.protocol import Unreachable

RETRY_SECONDS = 300.0
"""A store that has not answered for so long counts as unreachable; the attempt that needs it is repeated as a whole."""

CREDENTIALS_SECONDS = 30.0
"""How long credentials that are missing or expired are waited for."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 20.0

_NO_BUCKET = (
    r"NoSuchBucket|bucket does not exist|(list request).*status code: 404",
    "there is no such bucket; create it, or correct the URI",
)
_PERMANENT = (
    _NO_BUCKET,
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|status (code: )?401",
        "the credentials are refused; check those of this machine",
    ),
    (
        r"AccessDenied|AllAccessDisabled|status (code: )?403",
        "these credentials may not do that; their role needs to list, read, write and delete below the store's prefix",
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


def retried(ask: Callable[[], Answer], what: str) -> Answer:
    """Make a request, and repeat it while it fails for a reason that may pass.

    Args:
        what: the action and its place, for messages: `reading s3://bucket/a`.

    Raises:
        StiltsError: the request cannot succeed.
        Unreachable: the request has failed for `RETRY_SECONDS`.
        FileNotFoundError: there is no such object.
    """
    began, pause = time.monotonic(), FIRST_PAUSE
    while True:
        try:
            return ask()
        except StiltsError:
            raise
        except Exception as error:
            waited = time.monotonic() - began + pause
            advice, patience = _judge(error)
            if advice and waited > patience:
                raise StiltsError(f"{what}: {advice} ({_brief(error)})") from error
            if isinstance(error, FileNotFoundError | FileExistsError) or not isinstance(error, BaseError):
                raise
            if waited > RETRY_SECONDS:
                raise Unreachable(
                    f"{what}: the store has not answered for {time.monotonic() - began:.0f} s ({_brief(error)}); what "
                    "is stored is safe: run the same command again when it is back"
                ) from error
        # Random, so that gangs that lost the store at the same time do not come back at the same time.
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST_PAUSE)


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
    """The message of an error in one line, without the debugging output that obstore appends."""
    text = re.sub(r"\s+", " ", str(error).split("\n\nDebug source")[0]).strip()
    return text if len(text) <= 200 else f"{text[:200]}..."
