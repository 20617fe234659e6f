"""The local checkpoint of a base model, until a node has stored it as the first stage of the experiment.

With a store on a file system, every node finds the checkpoint at the path that the experiment gives. With an object
store, perhaps only the driver's machine has it: the driver publishes it, a node obtains it, and it is removed when the
stage is stored.
"""

import shutil
from pathlib import Path

from stilts.encoders.checkpoint_files import checkpoint_files
from stilts.identity.stage import SHORT, BaseSpec
from stilts.os_errors import CACHE, explained
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store


def publish_checkpoint(store: Store, spec: BaseSpec) -> None:
    """Publish a local checkpoint to an object store. Does nothing for other stores and other base models."""
    if spec.source is None or isinstance(store, LocalStore):
        return
    folder, files = store.scratch(_path(spec)), checkpoint_files(Path(spec.source))
    with explained("write", folder, what=CACHE, need=sum(file.stat().st_size for file in files)):
        for file in files:
            shutil.copyfile(file, folder / file.name)
    store.publish(_path(spec))
    shutil.rmtree(folder)


def obtain_checkpoint(store: Store, spec: BaseSpec) -> Path:
    """Return the folder of a local checkpoint on this node.

    Raises:
        Corrupt: it is neither on this node nor in the store.
    """
    assert spec.source is not None
    here = Path(spec.source)
    return here if here.is_dir() or isinstance(store, LocalStore) else store.obtain(_path(spec))


def forget_checkpoint(store: Store, spec: BaseSpec) -> None:
    """Remove the published checkpoint after the stage has been stored."""
    if spec.source is not None and not isinstance(store, LocalStore):
        store.remove(_path(spec))


def _path(spec: BaseSpec) -> str:
    return f"checkpoints/{spec.key[:SHORT]}"
