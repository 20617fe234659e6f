"""TensorBoard's event files, read back."""

import struct
from collections.abc import Iterator
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def events(folder: Path) -> Iterator[Event]:
    """The events of a folder's files, in the order in which the files were begun: length, checksum, event, checksum."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            yield Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Values by name and step, as TensorBoard shows them: a file's first step purges what comes after it."""
    found: dict[str, dict[int, float]] = {}
    for event in events(folder):
        if event.HasField("session_log") and event.session_log.status == event.session_log.START:
            found = {name: {s: v for s, v in steps.items() if s < event.step} for name, steps in found.items()}
        for value in event.summary.value:
            if value.HasField("simple_value"):
                assert event.step not in found.get(value.tag, {}), f"{value.tag} has step {event.step} twice"
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found
