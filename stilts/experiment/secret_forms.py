"""What secrets look like in any text: tokens of common services, private keys, credentials in URIs, headers, settings.

Every search takes time linear in the length of the text, whatever the text contains: repetitions in the expressions are
bounded, and each part of the text is examined once.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Found(NamedTuple):
    """A secret in a text: its first character, the one after its last, and what it is."""

    start: int
    end: int
    kind: str


_TOKEN, _PRIVATE_KEY, _URI = "what looks like a token or key", "a private key", "credentials in a URI"
_SETTING, _HEADER = "a password or token", "the credentials of a header"

_TOKENS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    # The beginning stands before the condition on what precedes it, because a search for a fixed text is fast.
    (begin, re.compile(rf"{re.escape(begin)}(?<![A-Za-z0-9]{re.escape(begin)}){rest}"))
    for begin, rest in (
        ("hf_", r"[A-Za-z0-9]{20,}"),  # Hugging Face
        ("api_org_", r"[A-Za-z0-9]{20,}"),
        ("AKIA", r"[A-Z0-9]{16}"),  # AWS
        ("ASIA", r"[A-Z0-9]{16}"),
        ("gh", r"[pousr]_[A-Za-z0-9]{30,}"),  # GitHub
        ("github_pat_", r"\w{30,}"),
        ("glpat-", r"[\w-]{20,}"),  # GitLab
        ("AIza", r"[\w-]{35}"),  # Google
        ("ya29.", r"[\w-]{20,}"),
        ("sk-", r"(?=[a-z-]{0,40}[0-9A-Z])(?=[\w-]{0,200}[0-9])(?=[\w-]{0,200}[A-Z])[\w-]{20,}"),  # OpenAI, Anthropic
        ("xox", r"[abeoprs]-[\w-]{10,}"),  # Slack
        ("xapp-", r"[\w-]{10,}"),
        ("wandb_v", r"\d_\w{20,}"),
        ("npm_", r"[A-Za-z0-9]{36}"),
        ("pypi-", r"[\w-]{50,}"),
        ("eyJ", r"[\w-]{8,4096}\.[\w-]{8,}(?:\.[\w-]+)?"),  # JSON web tokens
    )
)
"""How each kind of token begins, and the expression that finds it."""

_RANDOM = re.compile(r"[A-Za-z0-9/+]{40,}")
_AWS_SECRET_LENGTH = 40
_FEWEST_CHANGES = 14
"""Changes between capitals, small letters, digits and signs in 40 random characters: 25 on average; paths have few."""

_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_GAP = r"""(?:\s|\\+[nrt]|[>|#'",])"""
_HEADER_LINE = r"(?:Proc-Type|DEK-Info|Version|Comment|Hash)[ ]?:[^\n]{0,200}"
_BODY = re.compile(rf"(?:{_GAP}++|{_HEADER_LINE}|[A-Za-z0-9+/=]{{24,}}+)*+(?:[A-Za-z0-9+/=]++(?={_GAP}|$))?")
_GAP_REVERSED = r"""(?:[nrt]\\+|\s|[>|#'",])"""
_BODY_REVERSED = re.compile(rf"{_GAP_REVERSED}*(?:[A-Za-z0-9+/=]+?{_GAP_REVERSED}+)*")

_USER_AND_PASSWORD = re.compile(
    r"(?P<secret>[^\s/:@'\"]{0,200}:(?!\d{1,5}(?:[\s/,;:'\")\]>}?#]|$))(?![\s/]).*)@[\w\[.-]", re.S
)
_USER = re.compile(r"(?P<secret>[^\s/@'\"]++)@")
_DATABASE = re.compile(r"(?:postgres(?:ql)?|mysql|mariadb)(?:\+\w+)?$")
"""A scheme whose user name alone is no secret: its password comes from the environment (PGPASSWORD). Elsewhere, what
stands before `@` may be a token."""
_LONGEST_URI = 1000

_SECRET_WORD = r"[PpSsKkTt](?i:(?<=p)assw(?:or)?d|(?<=p)assphrase|(?<=p)wd|(?<=s)ecret|(?<=k)ey|(?<=t)oken)"
"""The last word of the name of a secret. It begins with a set of letters, which makes the search fast."""
_BEFORE = {
    "k": ("api", "access", "secret", "private", "account", "storage", "shared"),
    "t": (
        *("auth", "access", "api", "bearer", "hf", "hub", "session", "refresh", "id", "security", "oauth", "sas"),
        *("github", "gitlab", "wandb"),
    ),
}
"""The words before `key` and `token`, by their first letter, that make a secret of them."""
_LONGEST_WORD = 12
_VALUE = (
    r"""(?:\\?"(?P<double>[^"\\\n]{1,4096})|\\?'(?P<single>[^'\\\n]{1,4096})"""
    r"""|(?P<bare>[^\s,;&'"<>(){}\[\]$][^\s,;&'"<>]*+))"""
)
_ASSIGNED = re.compile(rf"""{_SECRET_WORD}(?P<quote>\\?["']?)\s{{0,3}}(?P<sign>=|:)\s{{0,3}}{_VALUE}""")
_NO_VALUE = re.compile(r"(?:none|null|true|false|str|\*+|\.{2,}|x{3,}|secret)[.!]?", re.IGNORECASE)
_CALL = re.compile(r"[A-Za-z_][\w.]{0,80}\(")  # in a line of code
_COUNT = re.compile(r"[0-9]{1,5}[.:]?")
_NOT_A_WORD = re.compile(r"[0-9]|[^\W_][^\w\s.:!?'-]|[a-z][A-Z]")
_QUERY = re.compile(
    r"[?&;](?=[\w.-]{0,60}(?:key|secret|token|password|credential|signature|sig=))[\w.-]{1,80}=(?P<value>[^\s&'\"]++)",
    re.IGNORECASE,
)

_SCHEME = re.compile(r"(?<![A-Za-z])bearer[ \t]{1,3}(?P<value>[A-Za-z0-9._~+/-]{8,}+=*)", re.IGNORECASE)
_AUTHORIZATION = re.compile(
    r"""(?:authorization|x-api-key|x-auth-token|api-key|cookie)["']?[ \t]{0,3}[:=][ \t]{0,3}["']?"""
    r"""(?:(?:basic|bearer|digest|token|negotiate|aws4-hmac-sha256)[ \t]{1,3}"""
    r"""(?P<scheme>[^\r\n"']++(?:"[^\r\n"]{0,500}"[^\r\n"']*){0,20})"""
    r"""|(?P<value>[^\s"',;]{8,}+))""",
    re.IGNORECASE,
)


def find_secrets(text: str) -> list[Found]:
    """Everything in a text that looks like a secret, in order, without overlaps."""
    lower = text.lower()
    found = [*_tokens(text), *_random_keys(text)]
    if "private key" in lower:
        found += _private_keys(text)
    if "://" in text and "@" in text:
        found += _in_uris(text)
    if "=" in text or ":" in text:
        found += _values(_QUERY, text, _URI, lambda match: True)
        if any(word in lower for word in ("passw", "passphrase", "pwd", "secret", "key", "token")):
            found += _values(_ASSIGNED, text, _SETTING, _is_assigned)
        if any(word in lower for word in ("authorization", "api-key", "auth-token", "cookie")):
            found += _values(_AUTHORIZATION, text, _HEADER, _is_credential)
    if "bearer" in lower:
        found += _values(_SCHEME, text, _HEADER, _is_credential)
    return _without_overlaps(found)


def _without_overlaps(found: list[Found]) -> list[Found]:
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: one.start):
        if kept and one.start < kept[-1].end:
            kept[-1] = kept[-1]._replace(end=max(one.end, kept[-1].end))
        else:
            kept.append(one)
    return kept


def _tokens(text: str) -> Iterator[Found]:
    for begin, pattern in _TOKENS:
        if begin in text:
            for match in pattern.finditer(text):
                yield Found(*match.span(), _TOKEN)


def _random_keys(text: str) -> Iterator[Found]:
    """AWS secret access keys: 40 random characters, unlike digests (one case) and paths (words)."""
    for match in _RANDOM.finditer(text):
        start, end = match.span()
        if end - start == _AWS_SECRET_LENGTH and _changes(match.group()) >= _FEWEST_CHANGES:
            yield Found(start, end, _TOKEN)


def _changes(text: str) -> int:
    """How often the kind of character changes; 0 unless there are capitals, small letters and digits."""
    kinds = ["A" if c.isupper() else "a" if c.islower() else "0" if c.isdigit() else "/" for c in text]
    return sum(a != b for a, b in itertools.pairwise(kinds)) if {"A", "a", "0"} <= set(kinds) else 0


def _private_keys(text: str) -> Iterator[Found]:
    """Private keys from their first line to their last; of a key that is cut off, the lines that are there."""
    begins = list(_BEGIN.finditer(text))
    limits = [match.start() for match in begins] + [len(text)]
    before = text[: limits[0]]
    if (cut := _END.search(before)) is not None:
        head = _BODY_REVERSED.match(before[: cut.start()][::-1])
        yield Found(cut.start() - (head.end() if head else 0), cut.end(), _PRIVATE_KEY)
    for match, limit in zip(begins, limits[1:], strict=True):
        end = _END.search(text, match.end(), limit)
        body = _BODY.match(text, match.end(), limit)
        yield Found(match.start(), end.end() if end else body.end() if body else match.end(), _PRIVATE_KEY)


def _in_uris(text: str) -> Iterator[Found]:
    """User names and passwords in URIs. A password may hold a slash, a quote or a blank, so the last @ of the line ends
    it."""
    start = text.find("://") + 3
    while start > 2:
        following = text.find("://", start)
        if start > 3 and text[start - 4].isalnum():
            end = min(following if following >= 0 else len(text), start + _LONGEST_URI)
            newline = text.find("\n", start, end)
            segment = text[start : newline if newline >= 0 else end]
            match = _USER_AND_PASSWORD.match(segment) if "@" in segment else None
            if match is None and "@" in segment and not _DATABASE.search(text[max(0, start - 30) : start - 3]):
                match = _USER.match(segment)
            if match is not None:
                yield Found(start, start + match.end("secret"), _URI)
        start = following + 3


def _values(pattern: re.Pattern[str], text: str, kind: str, wanted: Callable[[re.Match[str]], bool]) -> Iterator[Found]:
    """The group of each match that holds the value, where `wanted` says that it is a secret."""
    for match in pattern.finditer(text):
        if wanted(match):
            name = next(name for name, value in match.groupdict().items() if value and name not in ("quote", "sign"))
            yield Found(*match.span(name), kind)


def _is_assigned(match: re.Match[str]) -> bool:
    """Whether a setting has a secret value. After a colon, a word without quotes may belong to a sentence."""
    bare = match["bare"]
    value = bare or match["double"] or match["single"]
    if not _is_secret_word(match) or value.startswith(("[", "${", "<", "/", "~/", "./")):
        return False
    if _NO_VALUE.fullmatch(value) or (bare and re.search(r"\s", match.group()) and _CALL.match(bare)):
        return False
    if bare is None or match["quote"]:
        return True
    return match["sign"] == "=" or (_NOT_A_WORD.search(bare) is not None and not _COUNT.fullmatch(bare))


def _is_secret_word(match: re.Match[str]) -> bool:
    """Whether a setting's name is that of a secret: `secret` and `api_key` are, `monkey` and `pad_token` are not."""
    first, text, start = match.group()[0].lower(), match.string, match.start()
    before = text[max(0, start - _LONGEST_WORD) : start]
    if match.group()[:2].lower() == "pw":  # PWD is the working directory
        alone = match["sign"] == "=" and not before[-1:].isalnum()
        return before[-1:] in ("_", "-") or (alone and not (match["bare"] or "").startswith("/"))
    if first in "kt":
        if before.lower().removesuffix("_").removesuffix("-").endswith(_BEFORE[first]):
            return True
        return first == "t" and match["sign"] == "=" and not (before[-1:].isalnum() or before[-1:] == "_")
    return True


def _is_credential(match: re.Match[str]) -> bool:
    """Whether what follows `Bearer` or the name of a header is no word of a sentence."""
    if match.groupdict().get("scheme"):
        return not match["scheme"].startswith("[")
    value = match["value"]
    return len(value) >= 16 or not value.strip(".").isalpha() or not value[1:].islower()
