"""Secrets: find them in texts that are written or printed, and remove them.

An experiment needs no secret, because libraries read theirs from the environment or from their own files (HF_TOKEN,
AWS_*, WANDB_*). A declaration that contains one is refused, because the declaration is stored and part of it is hashed
into keys. Other texts that are written or printed, such as errors, may quote a secret. They go through `redact`.

A secret is recognised by the name of its environment variable, by its value wherever that appears, and by its form
(`secret_forms`).
"""

import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from stilts.experiment.mistakes import Location, Mistake
from stilts.experiment.secret_forms import find_secrets

_NAME = re.compile(
    r"PASSW(OR)?D(_|$)|(^|_)(TOKENS?|SECRETS?|PASS|PASSPHRASE|CREDENTIALS?|DSN|AUTH|BEARER|COOKIE)(_|$)|._PWD$"
    r"|(API|ACCESS|ACCOUNT|STORAGE|PRIVATE|SECRET|SIGNING|ENCRYPTION|MASTER|AUTH|SSH|DEPLOY|SUBSCRIPTION|KAGGLE)"
    r"_?KEYS?(_|$)|CONNECTION_STRING$|(^|_)(DATABASE|DB|REDIS|MONGO(DB)?|POSTGRES(QL)?|MYSQL|AMQP|BROKER)_UR[IL]$"
)
_NO_SECRET_NAME = re.compile(r"_(PATH|FILE|DIR|SOCK|MODE|TYPE|NAME|HEADER|ENDPOINT|TTL|URL)$|^OLDPWD$")
_ADDRESS = re.compile(r"_UR[IL]$|_DSN$")
_SHORTEST = 8
"""Characters. A shorter value, such as `true`, would be found everywhere."""
_SHORTEST_LINE = 24
"""Characters of a line of a secret with several lines."""
_COMMON = frozenset(
    ("password", "postgres", "username", "localhost", "anonymous", "disabled", "required", "undefined", "changeme")
)
"""Values that are found in many texts and keep nobody out."""


def is_secret_name(name: str) -> bool:
    """Whether an environment variable's name says that its value is secret; a path to a file of secrets is none."""
    upper = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
    match = _NAME.search(upper)
    return match is not None and (match.group().endswith(("URL", "URI")) or not _NO_SECRET_NAME.search(upper))


def holds_secret(text: str, environment: Mapping[str, str] | None = None) -> str | None:
    """What kind of secret a text holds, in words that do not repeat it; None where it holds none."""
    for name, value in _known(environment):
        if _occurs(value, text):
            return f"the value of the environment variable {name}"
    found = find_secrets(text)
    return found[0].kind if found else None


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
        if kind is None and isinstance(value, str) and location and find_secrets(f'"{location[-1]}": "{value[:200]}"'):
            kind = "a value under the name of a secret"
        if kind is None:
            return value
        found.append(Mistake(location, f"holds {kind}; {NO_SECRETS}"))
        return "secret"

    return clean(data, ()), found


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The text without the secrets that are known: `[NAME]` in place of an environment variable's value."""
    for name, value in _known(environment):
        if value in text:
            text = _pattern(value).sub(f"[{name}]", text) if value.isalnum() else text.replace(value, f"[{name}]")
    parts, end = [], 0
    for found in find_secrets(text):
        parts += [text[end : found.start], "[secret]"]
        end = found.end
    return "".join([*parts, text[end:]])


def _occurs(value: str, text: str) -> bool:
    return value in text and (not value.isalnum() or _pattern(value).search(text) is not None)


def _pattern(value: str) -> re.Pattern[str]:
    """Finds a value; one of letters or of digits alone only as a whole word, since it may be part of others."""
    plain = (value.isalpha() and (value.islower() or value.isupper())) or value.isdigit()
    return re.compile(rf"(?<!\w){re.escape(value)}(?!\w)" if plain else re.escape(value))


def _known(environment: Mapping[str, str] | None) -> list[tuple[str, str]]:
    """Names and values of secret variables, the longest value first: one may be part of another."""
    given = os.environ if environment is None else environment
    found = {(name, form) for name, value in given.items() if _is_secret(name, value) for form in _forms(value)}
    return sorted(found, key=lambda pair: (-len(pair[1]), pair[0]))


def _is_secret(name: str, value: str) -> bool:
    """Return whether the value of an environment variable is a secret, which must not appear in any text.

    The path of an existing file is not a secret, because messages have to name it (GOOGLE_APPLICATION_CREDENTIALS), and
    neither is an address without a password.
    """
    if not is_secret_name(name) or len(value) < _SHORTEST or value.lower() in _COMMON:
        return False
    if _ADDRESS.search(name.upper()) and not find_secrets(value):
        return False
    return not os.path.exists(value)


def _forms(value: str) -> set[str]:
    """How a secret is written in texts: as it is, as JSON, in a URI; and each line of one with several lines."""
    lines = [line.strip() for line in value.splitlines()]
    several = [line for line in lines if len(line) >= _SHORTEST_LINE] if len(lines) > 1 else []
    return {value, value.strip(), json.dumps(value)[1:-1], repr(value)[1:-1], quote(value, safe=""), *several}
