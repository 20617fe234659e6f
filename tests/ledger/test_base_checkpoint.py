"""A local checkpoint reaches a node that does not have it, wherever the store is no shared folder."""

from pathlib import Path

import pytest

from stilts.encoders.checkpoint_files import checkpoint_digest
from stilts.identity.stage import BaseSpec
from stilts.ledger.base_checkpoint import forget_checkpoint, obtain_checkpoint, publish_checkpoint
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Corrupt, Store


def test_it_travels_through_an_object_store_and_is_removed(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "pytorch_model.bin"):
        (folder / name).write_text(name)
    spec = BaseSpec({"files": checkpoint_digest(folder)}, source=str(folder))
    publish_checkpoint(store, spec)
    assert obtain_checkpoint(store, spec) == folder
    folder.rename(tmp_path / "of-another-node")
    found = obtain_checkpoint(store, spec)
    if isinstance(store, LocalStore):
        assert found == folder  # and the stage says that it is not there
        assert list(store.list(".")) == []
        return
    assert checkpoint_digest(found) == spec.identity["files"]
    assert not (found / "pytorch_model.bin").exists()
    forget_checkpoint(store, spec)
    assert list(store.list("checkpoints")) == []
    with pytest.raises(Corrupt, match="missing"):
        obtain_checkpoint(store, spec)


def test_other_base_models_are_left_alone(store: Store) -> None:
    spec = BaseSpec({"hub": "FacebookAI/xlm-roberta-base", "revision": "e73636d"})
    publish_checkpoint(store, spec)
    forget_checkpoint(store, spec)
    assert list(store.list(".")) == []
