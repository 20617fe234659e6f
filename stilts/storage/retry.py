"""Retry: what a store out of reach does to those who use it. They wait, then are told.

A request that failed for a reason that may pass (no connection, a timeout, 5xx, "slow down") is made again after a
growing, random pause, for `RETRY_SECONDS` in all. One that cannot succeed (no such bucket, no permission) is an error
at once, with what to do about it.
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
"""A store that has not answered for so long is given up; whoever needs it tries again as a whole."""

CREDENTIALS_SECONDS = 30.0
"""Credentials that are not there after so long will not come."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 20.0

_NO_BUCKET = (
    r"NoSuchBucket|NO_SUCH_BUCKET|bucket does not exist|Bucket '.*' not found|"
    r"(list request|CreateResumableUpload).*status code: 404",
    "there is no such bucket; create it, or correct the URI",
)
_PERMANENT = (
    _NO_BUCKET,
    (
        r"InvalidAccessKeyId|INVALID_ACCESS_KEY_ID|SignatureDoesNotMatch|SIGNATURE_DOES_NOT_MATCH|InvalidToken|"
        r"INVALID_CLIENT_TOKEN|UNRECOGNIZED_CLIENT|UNAUTHENTICATED|status (code: )?401",
        "the credentials are refused; check those of this machine",
    ),
    (
        r"AccessDenied|ACCESS_DENIED|PERMISSION_DENIED|AllAccessDisabled|status (code: )?403",
        "these credentials may not do that; their role needs to list, read, write and delete below the store's prefix",
    ),
    (
        r"PermanentRedirect|status (code: )?301|AuthorizationHeaderMalformed|IllegalLocationConstraint",
        "the bucket is in another region; add ?region=... to the store's URI",
    ),
    (r"InvalidBucketName|KeyTooLong|NotImplemented|status (code: )?501", "the server cannot do that; check the URI"),
)
"""How the two libraries name what will not pass, and what a person can do about it."""

_RENEWED = (
    (r"ExpiredToken|EXPIRED_TOKEN|token.*expired", "the credentials have expired; renew them"),
    (
        r"169\.254\.169\.254|metadata\.google\.internal|MissingCredentials|NoCredentials|token request|"
        r"OAuth2 access token",
        "no credentials were found; give this machine a role, a profile or the cloud's environment variables",
    ),
)
"""What lies with the credentials, which a machine with a role gets anew every few hours: it may pass, but soon."""

Answer = TypeVar("Answer")


def retried(ask: Callable[[], Answer], what: str) -> Answer:
    """The answer to a request, made again while it fails for a reason that may pass.

    Args:
        what: what was to be done and where, for messages: `reading s3://bucket/a`.

    Raises:
        StiltsError: it cannot succeed.
        Unreachable: it might have, but did not for `RETRY_SECONDS`.
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
            if isinstance(error, FileNotFoundError | FileExistsError) or not _is_of_the_store(error):
                raise
            if waited > RETRY_SECONDS:
                raise Unreachable(
                    f"{what}: the store has not answered for {time.monotonic() - began:.0f} s ({_brief(error)}); what "
                    "is stored is safe: run the same command again when it is back"
                ) from error
        # Never all at once: gangs that lost the store together must not come back together.
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST_PAUSE)


def permanent(error: Exception) -> str | None:
    """What a person can do about an error that will not pass; None for one that may."""
    advice, patience = _judge(error)
    return None if patience else advice


def _judge(error: Exception) -> tuple[str | None, float]:
    """What a person can do about an error that does not pass for so many seconds; None for one that may any time."""
    if isinstance(error, FileNotFoundError):
        return _advice(error, (_NO_BUCKET,)), 0.0
    missing = _advice(error, _RENEWED)
    return (missing, CREDENTIALS_SECONDS) if missing else (_advice(error, _PERMANENT), 0.0)


def _advice(error: Exception, table: Sequence[tuple[str, str]]) -> str | None:
    text = str(error)
    return next((advice for signs, advice in table if re.search(signs, text)), None)


def _is_of_the_store(error: Exception) -> bool:
    """Errors of pyarrow's file systems are OSErrors without the number that the system's have; obstore has a family."""
    return (isinstance(error, OSError) and error.errno is None) or isinstance(error, BaseError)


def _brief(error: Exception) -> str:
    """An error in one line: the libraries append whole replies and the source of their own errors."""
    text = re.sub(r"\s+", " ", str(error).split("\n\nDebug source")[0]).strip()
    return text if len(text) <= 200 else f"{text[:200]}..."
