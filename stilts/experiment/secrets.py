"""Secrets: found in what would be written or printed, and kept out of it.

An experiment needs none: libraries read theirs from the environment or from their own files (HF_TOKEN, AWS_*, WANDB_*).
So a declaration that holds one is refused, because all of it is stored and part of it is hashed into keys; what else is
written or printed, errors above all, may quote one, and goes through `redact`.

Known are the values of environment variables whose names say that they are secret, and what tokens of common services
and credentials in a URI look like.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from stilts.experiment.mistakes import Location, Mistake

_NAME = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|API_?KEY|ACCESS_KEY(_ID)?|PRIVATE_KEY|SECRET_KEY)(_|$)"
)
_SHORTEST = 8
"""Characters. A shorter value, such as `true`, would be found everywhere."""

_LOOKS = re.compile(
    r"hf_[A-Za-z0-9]{20,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}"
    r"|AIza[\w-]{35}"
    r"|wandb_v\d_\w{20,}"
    r"|xox[abpr]-[\w-]{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_IN_URI = re.compile(
    r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://)(?P<secret>[^\s/@'\"]+)@"
    r"|(?P<name>[?&](?:[\w.-]*(?:key|secret|token|password|credential|signature)[\w.-]*)=)(?P<value>[^\s&'\"]+)",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Whether an environment variable's name says that its value is secret; a path to a file of secrets is none."""
    return _NAME.search(name.upper()) is not None and not name.upper().endswith(("_PATH", "_FILE", "_DIR"))


def holds_secret(text: str, environment: Mapping[str, str] | None = None) -> str | None:
    """What kind of secret a text holds, in words that do not repeat it; None where it holds none."""
    for name, value in _known(environment):
        if value in text:
            return f"the value of the environment variable {name}"
    if _LOOKS.search(text):
        return "what looks like a token or key"
    return "credentials in a URI" if _IN_URI.search(text) else None


NO_SECRETS = (
    "an experiment is stored and needs no secret: libraries read theirs from the environment, a profile or own files"
)


def without_secrets(data: Any, environment: Mapping[str, str] | None = None) -> tuple[Any, list[Mistake]]:
    """The data with the word `secret` in place of each secret, so that no message quotes one; and where each stood."""
    found: list[Mistake] = []

    def clean(value: Any, location: Location) -> Any:
        if isinstance(value, dict):
            items = ((clean(key, location), key, item) for key, item in value.items())
            return {name: clean(item, (*location, redact(str(key), environment))) for name, key, item in items}
        if isinstance(value, list):
            return [clean(item, (*location, i)) for i, item in enumerate(value)]
        kind = holds_secret(value, environment) if isinstance(value, str) else None
        if kind is None:
            return value
        found.append(Mistake(location, f"holds {kind}; {NO_SECRETS}"))
        return "secret"

    return clean(data, ()), found


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The text without the secrets that are known: `[NAME]` in place of an environment variable's value."""
    for name, value in _known(environment):
        text = text.replace(value, f"[{name}]")
    text = _LOOKS.sub("[secret]", text)
    return _IN_URI.sub(lambda m: f"{m['before']}[secret]@" if m["before"] else f"{m['name']}[secret]", text)


def _known(environment: Mapping[str, str] | None) -> list[tuple[str, str]]:
    """Names and values of secret variables, the longest value first: one may be part of another."""
    found = os.environ if environment is None else environment
    # A path is no secret, and messages need it (GOOGLE_APPLICATION_CREDENTIALS).
    secret = [(n, v) for n, v in found.items() if is_secret_name(n) and len(v) >= _SHORTEST and not os.path.exists(v)]
    return sorted(secret, key=lambda pair: -len(pair[1]))
