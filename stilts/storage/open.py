"""Open a store by its URI."""

import os
import stat
from pathlib import Path

from stilts.errors import StiltsError
from stilts.places import check_store
from stilts.storage.local import LocalStore
from stilts.storage.protocol import FOLDERS, Store
from stilts.storage.uri import parse_uri


def open_store(uri: str) -> Store:
    """Open the store at a URI: a local path, `file:///PATH`, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`.

    Raises:
        StiltsError: the URI is invalid (see `places.py` and `storage/uri.py`); or a local path is a file, a
            link to nothing, or lies inside another store.
    """
    folder = local_folder(uri)
    if folder is not None:
        store = LocalStore(folder)
        _check_place(store.root)
        return store
    from stilts.storage.bucket.store import ObjectStore

    return ObjectStore(parse_uri(uri))


def local_folder(uri: str) -> Path | None:
    """Return the folder of a store on a file system, as the URI names it; None for an object store.

    Raises:
        StiltsError: the URI cannot be meant as that of a store.
    """
    try:
        check_store(uri)
    except ValueError as error:
        raise StiltsError(f"the store: {error}") from None
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if "://" in uri else Path(uri)


def _check_place(root: Path) -> None:
    """Refuse a path at which no store can be.

    Raises:
        StiltsError: it is a file or a link to nothing, cannot be reached, or lies in a folder of another store.
    """
    try:
        found = root.stat()
    except (FileNotFoundError, NotADirectoryError):
        link = next((path for path in (root, *root.parents) if path.is_symlink() and not path.exists()), None)
        if link is not None:
            raise StiltsError(
                f"the store {root}: {link} is a link to {os.readlink(link)}, which does not exist; mount or make that "
                "folder, or correct the link"
            ) from None
        file = next((path for path in root.parents if path.is_file()), None)
        if file is not None:
            raise StiltsError(f"the store {root} cannot be made: {file} is a file; give another folder") from None
    except OSError as error:
        raise StiltsError(
            f"the store {root} cannot be reached: {error.strerror}; give a folder that this user may enter"
        ) from error
    else:
        if not stat.S_ISDIR(found.st_mode):
            raise StiltsError(f"the store {root} is a file; give the folder of a store")
    for outer in root.parents:
        if os.access(outer / "store.json", os.F_OK) and root.relative_to(outer).parts[0] in FOLDERS:
            raise StiltsError(
                f"the store {root} lies inside another store, {outer}; give that one, or a folder outside of it"
            )
