"""Reading of JSON files of a store that may be damaged: by hand, by a broken disk, or by another program."""

import json
import logging
from typing import Any

from stilts.storage.protocol import Store

log = logging.getLogger(__name__)


def read_object(store: Store, path: str, then: str) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if there is no file, or, with a warning, if it holds anything else.

    Args:
        then: what happens in that case, for the warning: `the stage is trained again`.
    """
    content = store.read(path)
    if content is None:
        return None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    warn_damaged(store, path, then)
    return None


def warn_damaged(store: Store, path: str, then: str) -> None:
    """Say that a file is not what stilts writes there, and what happens."""
    log.warning("%s/%s is damaged: it is not what stilts writes there; %s", store.uri, path, then)
