"""Orphaned files that stilts has written: those in a folder that stilts makes, with a name that its writers give.

A store may lie in a folder that also holds files of other programs. A name that only looks similar is not enough.
"""

import re
from collections.abc import Collection

from stilts.ledger.names import DOCTOR, GENERATED, INDEX, KEY, RUN

_STAGE = rf"stages/[^/.][^/]*-{KEY}"
_FOLDERS = re.compile(
    rf"\.|stages|{_STAGE}|{_STAGE}/(?:evaluations(?:/[^/]+)?|claims|logs|resume(?:/[0-9]+)?)|data|data/index|features"
    rf"|checkpoints|experiments|experiments/[^/]+(?:/(?:known|spent|study|trials|search|search/claims|runs|claims))?"
    rf"|{RUN}(?:/claims)?|clean(?:/claims)?|doctor(?:/{DOCTOR})?"
)
"""Folders in which stilts writes, without those of the tasks' data."""

_ASIDE = re.compile(r"\.aside-[0-9a-f]{12}")
_RANDOM = r"[a-z0-9_]{8}"
"""What Python's `tempfile` adds to a name."""
_TABLE = re.compile(rf"\.[^/]+-{KEY}\.arrow-{_RANDOM}")
_INDEX = re.compile(rf"\.{INDEX}-{_RANDOM}")
_GENERATED = re.compile(rf"\.generated-{_RANDOM}")
_SEEN = re.compile(r"\.seen-[0-9a-f]{32}")
_TREE = re.compile(r"(.+)\.tree-[0-9a-f]{12}")
_IN_DATA = re.compile(rf"[^/]+-{KEY}\.arrow")
_TREES = (
    (re.compile(_STAGE), re.compile(r"weights|resume")),
    (re.compile(rf"{_STAGE}/resume/[0-9]+"), re.compile(r"[0-9]+")),
    (re.compile(r"data"), re.compile(GENERATED)),
    (re.compile(r"features"), _IN_DATA),
    (re.compile(r"checkpoints"), re.compile(KEY)),
)
"""Folders, and the names of the trees that stilts stores in them."""


def is_orphan(path: str, tasks: Collection[str]) -> bool:
    """Whether a path that looks orphaned was made by a writer of stilts.

    Args:
        tasks: tasks of which the store has data, in `data/TASK`.
    """
    parent, _, name = path.rpartition("/")
    parent = parent or "."
    of_task = parent.startswith("data/") and parent.removeprefix("data/") in tasks
    if tree := _TREE.fullmatch(name):
        return any(folder.fullmatch(parent) and names.fullmatch(tree[1]) for folder, names in _TREES) or (
            of_task and _IN_DATA.fullmatch(tree[1]) is not None
        )
    writers = {
        _ASIDE: of_task or _FOLDERS.fullmatch(parent) is not None,
        _TABLE: of_task or parent == "features",
        _INDEX: parent == "data/index",
        _GENERATED: parent == "data",
        _SEEN: parent == ".",
    }
    return any(there and pattern.fullmatch(name) is not None for pattern, there in writers.items())
