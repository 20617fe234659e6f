"""YAML read as plain data that knows its lines: what each value is, and the `FILE:LINE` that it came from.

Values are those of YAML 1.2's core schema, as far as an experiment needs it: `1e-5` is a number; `no`, `on`, `y` and a
date are text. Spellings to which YAML 1.1 gives another value than the one that people read (`0123` is 83, `1:30` is
90, `1_000`) are refused where they stand; in quotes they are text. A tag that changes the type of a value is refused,
too.

The reading is bounded (bytes, values, depth), so that no file keeps it busy: aliases that multiply each other are
refused as soon as they come to too many values.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stilts.errors import StiltsError
from stilts.experiment.mistakes import Location, kind_of

MAX_BYTES = 500_000
MAX_VALUES = 100_000
"""Values of one file, each alias counted with all that it stands for."""
MAX_DEPTH = 40
_SHOWN = 80
"""Characters of a setting that a message repeats."""
MAX_DIGITS = 400
"""Digits of a number: more than any float has, and fewer than Python refuses to convert (4,300)."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.[0-9]+(?:[eE][-+]?[0-9]+)?)"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_OTHER_BASE = re.compile(r"^[-+]?(?:0[0-9]+|0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+|[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?)$")
"""Octal, binary, hexadecimal and sexagesimal numbers, without underscores."""
_LIKE_A_NUMBER = re.compile(
    r"^[-+]?(?:0[box][0-9a-fA-F_]+|[0-9][0-9_:]*(?:\.[0-9_:]*)?(?:[eE][-+]?[0-9_]+)?|\.[0-9_]+)$"
)
"""Text that is written in quotes, since some reader takes it for a number."""


class Loader(yaml.SafeLoader):
    """Safe YAML with the scalars of this module."""


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads, and quotes text that it would take for something else."""


def _resolvers(kept: Sequence[str]) -> dict[Any, Any]:
    """PyYAML's resolvers of these tags, by first character."""
    tags = {f"{_TAG}{name}" for name in kept}
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.items()
    return {first: [(tag, pattern) for tag, pattern in found if tag in tags] for first, found in resolvers}


Loader.yaml_implicit_resolvers = _resolvers(["null", "merge"])
Loader.add_implicit_resolver(f"{_TAG}bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
Loader.add_implicit_resolver(f"{_TAG}int", _INT, list("-+0123456789"))
for _class in (Loader, Dumper):
    _class.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))
Dumper.add_implicit_resolver(f"{_TAG}int", _LIKE_A_NUMBER, list("-+0123456789."))  # after the others: they win

_RESOLVER = Loader("")
"""Gives the tags of nodes that have no explicit tag."""


@dataclass
class Document:
    """The place each value of some plain data came from, and the mistakes found in it."""

    file: str
    places: dict[Location, str] = field(default_factory=dict)
    """`file:line` of each value."""
    overridden: set[Location] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    values: int = 0
    """Values read so far."""

    def where(self, location: Location) -> str:
        """`FILE:LINE` of a value, or of the nearest value around it; `--set` where that set it."""
        prefixes = [location[:end] for end in range(len(location), -1, -1)]
        if any(prefix in self.overridden for prefix in prefixes):
            return "--set"
        made_by_set = any(place[: len(location)] == location for place in self.overridden)
        if made_by_set and location not in self.places:
            return "--set"
        return next((self.places[prefix] for prefix in prefixes if prefix in self.places), self.file)

    def mark(self, location: Location, line: int) -> None:
        """Note where a value stands (lines from 0)."""
        self.places[location] = f"{self.file}:{line + 1}"

    def forget(self, location: Location) -> None:
        """Drop the places of a value and of all inside it."""
        self.places = {known: at for known, at in self.places.items() if known[: len(location)] != location}

    def problem(self, location: Location, message: str) -> None:
        """Note a mistake."""
        path = ".".join(str(part) for part in location)
        self.problems.append(f"{self.where(location)}: {path + ': ' if path else ''}{message}")


def parse_file(path: Path, document: Document) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        StiltsError: the file cannot be read, is not YAML or no mapping, or is larger than any experiment.
    """
    return parse_text(_text(path), document, "an experiment is a mapping (name:, seeds:, models: ...)")


def parse_text(text: str, document: Document, wanted: str) -> dict[str, Any]:
    """The mapping in a YAML text, whose name for messages is that of the document.

    Args:
        wanted: what the text should be, for the message that it is something else.

    Raises:
        StiltsError: the text is not YAML or no mapping, or is larger than any declaration.
    """
    try:
        node = yaml.compose(text, Loader=Loader)
        data = None if node is None else construct(node, (), document)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise StiltsError(f"{document.file}{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise StiltsError(f"{document.file}: not valid YAML: {error}") from None
    except RecursionError:
        raise StiltsError(f"{document.file}: nested more than {MAX_DEPTH} deep; an experiment is not") from None
    if not isinstance(data, dict):
        raise StiltsError(f"{document.file}: {wanted}, this is {kind_of(data)}")
    return data


def parse_value(text: str, location: Location, document: Document) -> Any:
    """The value that `--set` gives as YAML.

    Raises:
        StiltsError: it is not YAML.
    """
    try:
        node = yaml.compose(text, Loader=Loader)
        return None if node is None else construct(node, location, document)
    except (yaml.YAMLError, RecursionError):
        raise StiltsError("the value is not valid YAML") from None


def _text(path: Path) -> str:
    try:
        # A pipe of the shell, `<(...)` or /dev/stdin, has a writer. One with a name of its own may wait for ever.
        if path.is_fifo() and not path.is_relative_to("/dev"):
            raise StiltsError(f"{path} is a named pipe; write the experiment to a file, or give it as <(COMMAND)")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StiltsError(f"cannot read the experiment {path}: {error.strerror}") from None
    except ValueError as error:  # a NUL in the name
        raise StiltsError(f"cannot read the experiment {str(path)!r}: {error}") from None
    if len(data) > MAX_BYTES:
        raise StiltsError(f"{path}: more than {MAX_BYTES:,} bytes; an experiment is smaller")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StiltsError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8 text") from None


def construct(node: yaml.Node, location: Location, document: Document, parents: tuple[int, ...] = ()) -> Any:
    """The plain data of a YAML node; mistakes and places are noted in the document.

    Raises:
        StiltsError: more than MAX_VALUES values, or more than MAX_DEPTH levels.
    """
    document.mark(location, node.start_mark.line)
    document.values += 1
    if id(node) in parents:
        document.problem(location, "an alias refers to the node that holds it (a cycle)")
        return None
    if document.values > MAX_VALUES or len(parents) >= MAX_DEPTH:
        much = f"nested more than {MAX_DEPTH} deep" if len(parents) >= MAX_DEPTH else f"more than {MAX_VALUES:,} values"
        raise StiltsError(f"{document.where(location)}: {much}, aliases included; an experiment is smaller")
    parents = (*parents, id(node))
    if changed := _changed_by_tag(node):
        document.problem(location, changed)
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, location, document, parents)
    if isinstance(node, yaml.SequenceNode):
        return [construct(item, (*location, i), document, parents) for i, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node, location, document)


def _changed_by_tag(node: yaml.Node) -> str | None:
    """A message if an explicit tag gives the node another type than it has without the tag; else None.

    Such a tag can change the value, too: PyYAML reads `!!int "010"` as 8.
    """
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    if node.tag == _RESOLVER.resolve(type(node), node.value, (plain, not plain)):
        return None
    tag = node.tag.replace(_TAG, "!!")
    if not isinstance(node, yaml.ScalarNode):
        return f"the tag {tag[:40]} is not read here; leave it out"
    return (
        f"the tag {tag[:40]} would change the type of {node.value[:40]!r}; write the value without a tag: a number "
        "without quotes, text in quotes"
    )


def _mapping(node: yaml.MappingNode, location: Location, document: Document, parents: tuple[int, ...]) -> Any:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        name = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(key_node.value))
        here = (*location, name)
        if not isinstance(key_node, yaml.ScalarNode):
            document.problem(location, f"a key must be a plain word (line {key_node.start_mark.line + 1})")
        elif key_node.tag == f"{_TAG}merge":
            document.problem(location, "<< is not read here; write the fields out, or take an alias for all of it")
        elif name in data:
            document.mark(here, key_node.start_mark.line)
            document.problem(here, "given twice")
        else:
            data[name] = construct(value_node, here, document, parents)
            document.mark(here, key_node.start_mark.line)
    return data


def _is_other_number(text: str) -> bool:
    """Whether YAML 1.1 reads a number in it that is not the decimal number which it shows."""
    if not text or len(text) > MAX_DIGITS or text[0] == "_":
        return False
    digits = text.replace("_", "")
    decimal = _INT.match(digits) or _FLOAT.match(digits)
    return bool(_OTHER_BASE.match(digits)) or (digits != text and bool(decimal))


def _scalar(node: yaml.ScalarNode, location: Location, document: Document) -> Any:
    plain = node.style is None and node.tag in (f"{_TAG}str", f"{_TAG}int", f"{_TAG}float")
    if plain and _is_other_number(node.value):
        document.problem(
            location,
            f"{node.value[:40]} is read as different values by different versions of YAML; write a decimal number "
            f"without _, : and leading zeros, or, if it is text, '{node.value[:40]}' in quotes",
        )
        return int(re.sub(r"\D", "", node.value) or 0)  # any number: what follows from a missing one is not said, too
    if plain and node.tag != f"{_TAG}str" and len(node.value) > MAX_DIGITS:
        document.problem(location, f"a number of {len(node.value)} digits is no value for an experiment")
        return None
    constructor = Loader("")
    try:
        value = constructor.construct_object(node)
    finally:
        constructor.dispose()
    if isinstance(value, str) and _CONTROL.search(value):
        document.problem(location, f"{value!r} holds a control character")
        return None
    if not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
        document.problem(location, f"{node.value} is no value for an experiment; text goes into quotes")
        return None
    return value


def merge(data: dict[str, Any], patch: dict[str, Any], location: Location, document: Document, over: Document) -> None:
    """Lay a patch over the data, in place (RFC 7396); each value that it brings keeps its place in the patch."""
    for key, value in patch.items():
        here = (*location, key)
        if isinstance(value, dict):
            if not isinstance(data.get(key), dict):
                document.forget(here)
                data[key] = {}
            merge(data[key], value, here, document, over)
            document.places.setdefault(here, over.places[here])
            continue
        document.forget(here)
        if value is None:
            data.pop(key, None)
            continue
        data[key] = value
        document.places |= {known: at for known, at in over.places.items() if known[: len(here)] == here}


def override(data: dict[str, Any], setting: str, document: Document) -> None:
    """Apply one `--set PATH.TO.FIELD=VALUE` in place; a mistake is noted in the document."""
    name, equals, text = setting.partition("=")
    shown = setting if len(setting) <= _SHOWN else f"{setting[:_SHOWN]}..."
    location = tuple(name.split("."))
    if not equals or not name:
        document.problems.append(f"--set {shown}: write it as path.to.field=value")
        return
    if len(location) > MAX_DEPTH:
        document.problems.append(f"--set {name[:40]}...: nested more than {MAX_DEPTH} deep")
        return
    here: Any = data
    for part in location[:-1]:
        if here.get(part) is None:
            here[part] = {}
        here = here[part]
        if isinstance(here, list):
            document.problems.append(f"--set {shown}: {part} is a list; set all of it, or write it as a mapping")
            return
        if not isinstance(here, dict):
            document.problems.append(f"--set {shown}: {part} has no fields")
            return
    document.overridden.add(location)
    try:
        here[location[-1]] = parse_value(text, location, document)
    except StiltsError as error:
        document.problems.append(f"--set {shown}: {error}")
