"""Preemption notices: what a cloud's metadata service announces about the end of this machine. Independent of Ray.

A source of notices is a function that is called repeatedly. It returns the current notice or None, and may take a while
to answer. It raises `Unavailable` if the service cannot be reached; any other exception is treated in the same way. To
support another cloud, write such a function and name it as `package.module:function`.

- AWS (instance metadata service, version 2): announces the interruption of a spot machine two minutes before it, and
  recommends to poll every five seconds. A rebalance recommendation says that an interruption is more likely than usual.
- Google: announces a preemption 30 seconds before it, or the machine's `preemptionNoticeDuration`, which the metadata
  do not contain. A request can wait for a change.

The environment variables AWS_EC2_METADATA_SERVICE_ENDPOINT and GCE_METADATA_HOST set other addresses, as they do for
the clouds' own tools.
"""

import importlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from http.client import HTTPException
from typing import Any

from stilts.errors import StiltsError

ANSWER_SECONDS = 5.0
AWS_NOTICE_SECONDS = 120.0
GOOGLE_NOTICE_SECONDS = 30.0
LONG_POLL_SECONDS = 60
_TOKEN_SECONDS = 21600
_MOST_BYTES = 65536
_UNAUTHORIZED, _NOT_FOUND = 401, 404


class Unavailable(Exception):
    """The metadata service cannot be reached or gave an invalid answer. Retry later."""


@dataclass(frozen=True)
class Notice:
    """An announcement that this machine will be, or may be, preempted.

    Attributes:
        text: the announcement, in one line.
        deadline: Unix time at which the machine stops; None if it is not announced.
        certain: False for a recommendation to leave.
    """

    text: str
    deadline: float | None = None
    certain: bool = True


NoticeSource = Callable[[], Notice | None]


def notice_source(cloud: str) -> tuple[str, NoticeSource]:
    """Return the name of a cloud and its source of notices.

    Args:
        cloud: `aws`, `gcp`, `package.module:function`, or `auto` for the cloud that this machine is in.

    Raises:
        StiltsError: there is no such function.
        Unavailable: no metadata service answers; it may not have started yet.
    """
    if cloud == "aws":
        return "AWS", Aws()
    if cloud == "gcp":
        return "Google", Google()
    if cloud == "auto":
        return _found()
    module, _, name = cloud.partition(":")
    try:
        function: NoticeSource = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise StiltsError(
            f"no cloud {cloud!r}: give auto, aws, gcp, or package.module:function that can be imported ({error})"
        ) from error
    return cloud, function


def _found() -> tuple[str, NoticeSource]:
    aws, google = Aws(), Google()
    for name, cloud in (("Google", google), ("AWS", aws)):
        try:
            cloud.probe()
        except Unavailable:
            continue
        return name, cloud
    raise Unavailable("no metadata service of AWS or Google answers")


class Aws:
    """Interruptions and rebalance recommendations of an EC2 spot machine."""

    def __init__(self) -> None:
        endpoint = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254")
        self._latest = f"{endpoint.rstrip('/')}/latest"
        self._token: str | None = None

    def probe(self) -> None:
        """Raise `Unavailable` if this is not a machine of AWS."""
        self._renew()

    def __call__(self) -> Notice | None:
        action = self._get("spot/instance-action")
        if action is not None:
            at = _time(action, "time")
            deadline = time.time() + AWS_NOTICE_SECONDS if at is None else at
            return Notice(f"AWS: {action.get('action', 'interruption')} at {_clock(deadline)}", deadline)
        rebalance = self._get("events/recommendations/rebalance")
        if rebalance is not None:
            return Notice(f"AWS recommends to leave this machine since {rebalance.get('noticeTime')}", certain=False)
        return None

    def _get(self, path: str) -> dict[str, Any] | None:
        """Read a JSON document; None if there is none. An expired token is renewed once."""
        url = f"{self._latest}/meta-data/{path}"
        for _ in range(2):
            status, _, body = _ask(url, {"X-aws-ec2-metadata-token": self._token or self._renew()})
            if status == _UNAUTHORIZED:
                self._token = None
                continue
            if status == _NOT_FOUND:
                return None
            return _document(url, status, body)
        raise Unavailable(f"{url} refuses the token that it has just given")

    def _renew(self) -> str:
        url = f"{self._latest}/api/token"
        status, _, body = _ask(url, {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}, method="PUT")
        if status != 200 or not body:
            raise Unavailable(f"{url} gave no token (status {status})")
        self._token = body.decode("ascii", "replace")
        return self._token


class Google:
    """Preemptions of a Compute Engine machine. The first call answers at once, later ones when something changes."""

    def __init__(self) -> None:
        host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
        self._url = f"http://{host}/computeMetadata/v1/instance/preempted"
        self._etag: str | None = None

    def probe(self) -> None:
        """Raise `Unavailable` if this is not a machine of Google."""
        _, headers, _ = self._ask(self._url, ANSWER_SECONDS)
        if headers.get("metadata-flavor") != "Google":
            raise Unavailable(f"{self._url} does not answer as Google's metadata service does")

    def __call__(self) -> Notice | None:
        if self._etag is None:
            url, seconds = self._url, ANSWER_SECONDS
        else:
            # With the etag, a change between two requests is reported, too.
            url = f"{self._url}?wait_for_change=true&timeout_sec={LONG_POLL_SECONDS}&last_etag={self._etag}"
            seconds = LONG_POLL_SECONDS + ANSWER_SECONDS
        try:
            _, headers, body = self._ask(url, seconds)
        except Unavailable:
            self._etag = None
            raise
        answer = body.decode("ascii", "replace").strip().upper()
        if answer not in ("TRUE", "FALSE"):
            self._etag = None
            raise Unavailable(f"{url} answers {answer[:40]!r} and neither TRUE nor FALSE")
        self._etag = headers.get("etag")
        if answer == "FALSE":
            return None
        return Notice("Google preempts this machine", time.time() + GOOGLE_NOTICE_SECONDS)

    def _ask(self, url: str, seconds: float) -> tuple[int, Mapping[str, str], bytes]:
        status, headers, body = _ask(url, {"Metadata-Flavor": "Google"}, seconds=seconds)
        if status != 200:
            raise Unavailable(f"{url} answers with status {status}")
        return status, headers, body


def _ask(
    url: str, headers: Mapping[str, str], *, method: str = "GET", seconds: float | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """Make a request; return its status, headers with lower-case names, and body, also for an error status."""
    request = urllib.request.Request(url, headers=dict(headers), method=method)
    # No proxy: the proxy would answer with the metadata of another machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        try:
            with opener.open(request, timeout=seconds or ANSWER_SECONDS) as answer:
                return answer.status, _lower(answer.headers), answer.read(_MOST_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _lower(error.headers), error.read(_MOST_BYTES)
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"{url} cannot be asked: {error}") from error


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _document(url: str, status: int, body: bytes) -> dict[str, Any]:
    if status != 200:
        raise Unavailable(f"{url} answers with status {status}")
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Unavailable(f"{url} answers with what is no JSON object: {body[:40]!r}")
    return document


def _time(document: Mapping[str, Any], name: str) -> float | None:
    """Unix time of a field such as `2026-09-18T08:22:00Z`; None if it cannot be parsed."""
    try:
        return datetime.fromisoformat(str(document.get(name))).timestamp()
    except ValueError:
        return None


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S UTC", time.gmtime(seconds))
