"""Links inside a store on a file system. Nothing is removed through a link, because it may lead out of the store."""

from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store


def link_above(store: Store, path: str) -> str | None:
    """The outermost folder above a path that is a symbolic link, relative to the store; None if there is none.

    The path itself may be a link: removing it removes the link and not what it names.
    """
    if not isinstance(store, LocalStore):
        return None
    parts = path.split("/")
    folders = ("/".join(parts[:end]) for end in range(1, len(parts)))
    return next((folder for folder in folders if (store.root / folder).is_symlink()), None)
