"""Checks of the places that a user names: the URI of a store, and the folder of the results.

A mistyped URI is a valid file name on most systems. Taken as a folder, it would make a new and empty store in which
everything trains again. Texts that are probably no folder are therefore refused, without access to the place.
"""

import os
import re
from pathlib import Path

BUCKETS = ("s3", "gs")
"""Schemes of object stores."""

_ALIASES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "gsutil": "gs"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(/*)")
_NO_COLON = re.compile(r"(s3|s3a|s3n|gs|gcs|file)//+", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:[A-Za-z_{(]|$)|%[A-Za-z_]+%")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FORMS = "give a local or shared directory, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"


def check_store(uri: str) -> str:
    """Return the URI of a store unchanged if it can be meant as one.

    Raises:
        ValueError: it cannot; the message says what was probably meant.
    """
    _check_text(uri)
    scheme, rest = _scheme(uri)
    if scheme is None:
        check_folder(uri, "./stilts-store")
    elif scheme == "file":
        if not uri.startswith("file:///") or rest.startswith("////"):
            raise ValueError(f"{_shown(uri)} is no URI of a folder; did you mean 'file:///{_shown_part(rest)}'?")
        if re.search(r"%[0-9A-Fa-f]{2}", rest):
            raise ValueError(f"{_shown(uri)}: %-escapes are not decoded; give the path of the folder itself")
        check_folder(rest[2:], "file:///stilts-store")
    elif scheme in BUCKETS:
        if not uri.startswith(f"{scheme}://"):
            raise ValueError(f"{_shown(uri)}: did you mean '{scheme}://{_shown_part(rest)}'?")
    else:
        raise ValueError(_unknown(scheme, rest))
    return uri


def check_folder(path: str, example: str) -> str:
    """Return the path of a folder unchanged if it can be meant as one.

    Args:
        example: a valid path, for messages.

    Raises:
        ValueError: it is empty, the working directory, its parents or the root; a URI, a Windows path or a variable
            that was not replaced; or `~NAME` of an unknown user.
    """
    _check_text(path)
    if re.match(r"[A-Za-z]:|//[^/]", path) or "\\" in path:
        raise ValueError(f"{_shown(path)} is a path of Windows; give it with '/', in WSL as /mnt/c/...")
    scheme, _ = _scheme(path)
    if scheme is not None:
        raise ValueError(f"{_shown(path)} is a URI, and this must be a folder of this machine, such as {example!r}")
    if _VARIABLE.search(path) and not (os.path.isabs(path) and os.path.isdir(path)):
        raise ValueError(f"{_shown(path)} holds a variable that was not replaced; in YAML it is written ${{NAME}}")
    if not set(os.path.normpath(path).split("/")) - {"", ".", ".."}:
        raise ValueError(f"{_shown(path)} is no folder of its own; did you mean {example!r}?")
    if path.startswith("~"):
        try:
            Path(path).expanduser()
        except RuntimeError:
            raise ValueError(f"{_shown(path)}: there is no user {path[1:].partition('/')[0]!r} here") from None
    return path


def _check_text(text: str) -> None:
    if not text.strip():
        raise ValueError(f"{text!r} is empty; {_FORMS}" if text else f"it is empty; {_FORMS}")
    if text != text.strip():
        raise ValueError(f"{_shown(text)} begins or ends with a blank; did you mean {_shown(text.strip())}?")
    if _CONTROL.search(text):
        raise ValueError(f"{_shown(text)} holds a control character or a line break; remove it")


def _scheme(text: str) -> tuple[str | None, str]:
    """The scheme that a text begins with, in lower case, and what follows its colon; None for a plain path.

    `s3:x` and `s3//x` count as mistyped URIs; `run:1` is a folder, and so is `./s3:/x`.
    """
    if found := _NO_COLON.match(text):
        name = found[1].lower()
        return _ALIASES.get(name, name), f"/{text[found.end() :]}"
    found = _SCHEME.match(text)
    if found is None:
        return None, text
    name = found[1].lower()
    meant = name in (*BUCKETS, *_ALIASES, "file", "http", "https")
    if not (found[2] or meant) or (len(name) == 1 and not found[2].startswith("//")):
        return None, text
    rest = text[found.end(1) + 1 :]
    return (name, rest) if name not in _ALIASES else (_ALIASES[name], rest)


def _unknown(scheme: str, rest: str) -> str:
    if scheme in ("http", "https"):
        return (
            f"a web address is no store; {_FORMS}. A server of S3's protocol is named by "
            "s3://BUCKET/PREFIX?endpoint_override=HOST:PORT"
        )
    if not rest.startswith("//"):
        return f"no storage for {scheme}:; {_FORMS}, or ./{scheme}:... for a folder of that name"
    return f"no storage for {scheme}://; {_FORMS}"


def _shown_part(rest: str) -> str:
    path = _without_secrets(rest.lstrip("/")).partition("?")[0]
    return path if len(path) <= 80 else f"{path[:80]}..."


def _shown(text: str) -> str:
    """The text in a message: in quotes, without credentials, and not longer than a line."""
    text = _without_secrets(text)
    return repr(text if len(text) <= 100 else f"{text[:100]}...")


def _without_secrets(text: str) -> str:
    """The text without `USER:PASSWORD@` and the values of query parameters."""
    return re.sub(r"=[^&]*", "=...", re.sub(r"[^/@]*@", "", text[:500]))
