"""Text of unknown origin made safe to show: control characters are shown as text and not sent to a terminal."""

import re

_ACTIVE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tabs and line feeds, and those that change the direction of the text around them."""
MOST_CHARACTERS = 2000
"""Of one line of a message."""
MOST_LINES = 200


def visible(text: str) -> str:
    """The text with each character that a terminal would act on as an escape, such as `\\x1b` or `\\u202e`."""
    return _ACTIVE.sub(_escaped, text) if _ACTIVE.search(text) else text


def visible_json(text: str) -> str:
    """JSON with such characters as escapes of JSON."""
    return _ACTIVE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def bounded(text: str) -> str:
    """A message of bounded length: long lines are cut in the middle, and further lines are counted."""
    lines = text.split("\n")
    more = [f"... and {len(lines) - MOST_LINES:,} more lines"] if len(lines) > MOST_LINES else []
    return "\n".join([*map(_cut, lines[:MOST_LINES]), *more])


def _cut(line: str) -> str:
    if len(line) <= MOST_CHARACTERS:
        return line
    half = MOST_CHARACTERS // 2
    return f"{line[:half]} ... ({len(line):,} characters) ... {line[-half:]}"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
