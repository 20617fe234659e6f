"""A base model's local checkpoint on its way to the node that stores it as the experiment's first stage.

A file system that all nodes mount has it where the experiment says. Of an object store's nodes only the driver's may
have it: the driver publishes it, the node obtains it, and it is removed once the stage is stored.
"""

import shutil
from pathlib import Path

from stilts.encoders.checkpoint_files import checkpoint_files
from stilts.identity.stage import SHORT, BaseSpec
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store


def publish_checkpoint(store: Store, spec: BaseSpec) -> None:
    """Make a local checkpoint part of an object store; nothing to do for others, and for bases that are none."""
    if spec.source is None or isinstance(store, LocalStore):
        return
    folder = store.scratch(_path(spec))
    for file in checkpoint_files(Path(spec.source)):
        shutil.copyfile(file, folder / file.name)
    store.publish(_path(spec))
    shutil.rmtree(folder)


def obtain_checkpoint(store: Store, spec: BaseSpec) -> Path:
    """The folder of a local checkpoint on this node.

    Raises:
        Corrupt: it is neither here nor in the store.
    """
    assert spec.source is not None
    here = Path(spec.source)
    return here if here.is_dir() or isinstance(store, LocalStore) else store.obtain(_path(spec))


def forget_checkpoint(store: Store, spec: BaseSpec) -> None:
    """Remove what was published, once the stage is stored."""
    if spec.source is not None and not isinstance(store, LocalStore):
        store.remove(_path(spec))


def _path(spec: BaseSpec) -> str:
    return f"checkpoints/{spec.key[:SHORT]}"
