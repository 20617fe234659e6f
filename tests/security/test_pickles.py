"""No pickle is ever loaded: planted ones are refused by format or by digest, with a message, and never executed."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from stilts.data.sources import hub
from stilts.data.tables import read_table
from stilts.encoders.checkpoint_files import checkpoint_digest
from stilts.errors import StiltsError
from stilts.identity.canonical import digest
from stilts.identity.stage import BaseSpec
from stilts.ledger.record import read_stage, take_inventory, write_stage
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Corrupt
from stilts.tasks.base import HubSource, get_task
from stilts.train.base import materialise_base
from stilts.train.checkpoint import ResumeStore
from stilts.train.model import Model
from stilts.train.ranks import Ranks
from tests.security.conftest import Trap


def shards(base: Path, name: str) -> None:
    """Let a checkpoint's index say that all its tensors are in one file."""
    tensors = load_file(base / "model.safetensors")
    (base / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, name)}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))


# --- base models -------------------------------------------------------------------------------------------


def test_a_checkpoint_of_pickles_is_refused(base: Path, trap: Trap, tmp_path: Path) -> None:
    (base / "model.safetensors").rename(base / "away")
    (base / "pytorch_model.bin").write_bytes(trap.pickle)
    with pytest.raises(StiltsError, match="the weights are a pickle"):
        materialise_base({"path": str(base)}, tmp_path / "out")
    with pytest.raises(StiltsError, match="the weights are a pickle"):
        Model.load(base)
    assert not trap.sprung


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt"])
def test_an_index_that_names_a_pickle_is_refused(base: Path, trap: Trap, tmp_path: Path, name: str) -> None:
    shards(base, name)
    (base / name).write_bytes(trap.pickle)
    with pytest.raises(StiltsError, match=rf"{name}.*safetensors"):
        materialise_base({"path": str(base)}, tmp_path / "out")
    with pytest.raises(StiltsError, match=rf"{name}.*safetensors"):
        Model.load(base)
    assert not trap.sprung


@pytest.mark.parametrize("name", ["../outside.safetensors", "/outside.safetensors", "a/../../outside.safetensors"])
def test_an_index_that_leads_out_of_the_folder_is_refused(base: Path, tmp_path: Path, name: str) -> None:
    shards(base, name.replace("/outside", f"{tmp_path}/outside") if name.startswith("/") else name)
    save_file({}, tmp_path / "outside.safetensors")
    (base / "a").mkdir()
    with pytest.raises(StiltsError, match="outside"):
        materialise_base({"path": str(base)}, tmp_path / "out")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"x": 1}}'])
def test_an_index_that_is_none_is_refused(base: Path, tmp_path: Path, content: str) -> None:
    (base / "model.safetensors").unlink()
    (base / "model.safetensors.index.json").write_text(content)
    with pytest.raises(StiltsError, match=r"model\.safetensors\.index\.json"):
        materialise_base({"path": str(base)}, tmp_path / "out")


def test_a_pickle_that_is_called_safetensors_is_refused(base: Path, trap: Trap) -> None:
    (base / "model.safetensors").write_bytes(trap.pickle)
    with pytest.raises(StiltsError, match=r"model\.safetensors is no safetensors file"):
        Model.load(base)
    assert not trap.sprung


def test_a_pickle_that_is_called_safetensors_is_refused_before_anything_runs(
    base: Path, trap: Trap, tmp_path: Path
) -> None:
    (base / "model.safetensors").write_bytes(trap.pickle)
    with pytest.raises(StiltsError, match=r"model\.safetensors is no safetensors file"):
        materialise_base({"path": str(base)}, tmp_path / "out")
    assert not trap.sprung


def test_pickles_beside_the_weights_are_neither_loaded_nor_copied(base: Path, trap: Trap, tmp_path: Path) -> None:
    names = ["pytorch_model.bin", "tf_model.h5", "adapter_model.bin", "optimizer.pt", "training_args.bin", "vocab.pkl"]
    for name in names:
        (base / name).write_bytes(trap.pickle)
    (base / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base), "peft_type": "LORA"}))
    materialise_base({"path": str(base), "files": checkpoint_digest(base)}, tmp_path / "out")
    assert not {file.name for file in (tmp_path / "out").iterdir()} & {*names, "adapter_config.json"}
    Model.load(tmp_path / "out")
    assert not trap.sprung


@pytest.mark.parametrize("name", ["tokenizer.json", "sentencepiece.bpe.model", "vocab.txt", "spiece.model"])
def test_a_pickle_for_a_tokenizer_is_refused(base: Path, trap: Trap, name: str) -> None:
    (base / "tokenizer.json").unlink()
    (base / name).write_bytes(trap.pickle)
    with pytest.raises(StiltsError, match="tokenizer"):
        Model.load(base)
    assert not trap.sprung


# --- the store ---------------------------------------------------------------------------------------------


def test_a_pickle_planted_beside_stored_weights_is_refused(base: Path, trap: Trap, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    manifest = store.put_tree(base, "stages/a/weights")
    (store.root / "stages/a/weights/pytorch_model.bin").write_bytes(trap.pickle)
    with pytest.raises(Corrupt, match=r"pytorch_model\.bin is not in the record"):
        store.fetch_tree("stages/a/weights", manifest)
    assert not trap.sprung


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_tampered_file_of_stored_weights_is_refused_by_its_digest(base: Path, tmp_path: Path, name: str) -> None:
    store = LocalStore(tmp_path / "store")
    manifest = store.put_tree(base, "w")
    file = store.root / "w" / name
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(Corrupt, match="digest differs"):
        store.fetch_tree("w", manifest)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/../../secret", "a\\b", "."])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    store = LocalStore(tmp_path / "store")
    (tmp_path / "secret").write_bytes(b"x")
    with pytest.raises(Corrupt):
        store.fetch_tree("w", {name: {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}})


@pytest.mark.parametrize(
    "tampered",
    [
        {"payload": {"key_version": 2, "base": {"hub": "evil/model", "revision": "1"}}},
        {"key": digest({"key_version": 2, "base": {"hub": "evil/model", "revision": "1"}})},
        {"key": 7},
        {"key": None},
        {"payload": {"x": [float(10**30), {"deep": "y"}]}},
    ],
)
def test_a_record_that_is_not_of_its_stage_is_not_used(
    tmp_path: Path, tampered: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """Another model's record in a stage's place is neither trained on nor reported as that stage."""
    store = LocalStore(tmp_path)
    spec = BaseSpec({"hub": "good/model", "revision": "1"})
    name = f"model-{spec.key[:12]}"
    record = {"name": name, "key": spec.key, "payload": spec.payload(), "weights": {}}
    write_stage(store, name, record)
    assert read_stage(store, name) == {"schema": 1, **record}
    write_stage(store, name, {**record, **tampered})
    assert read_stage(store, name) is None
    assert not take_inventory(store)[spec.key[:12]].trained
    assert f"{name}/record.json: the record is not what was written" in caplog.text
    write_stage(store, "other-0123456789ab", record)
    assert read_stage(store, "other-0123456789ab") is None


def _resume(folder: Path, **files: bytes) -> ResumeStore:
    """A resume state whose manifest vouches for what was planted."""
    folder.mkdir()
    named = {"state.safetensors": b"", "state.json": b"{}", **{n.replace("__", "."): c for n, c in files.items()}}
    for name, content in named.items():
        (folder / name).write_bytes(content)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in named.items()}
    (folder / "manifest.json").write_text(json.dumps(digests))
    return ResumeStore(folder)


def test_a_pickle_for_a_resume_state_is_not_used(
    trap: Trap, tmp_path: Path, ranks: Ranks, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = save({"weight.x": torch.zeros(1)})
    assert _resume(tmp_path / "good", state__safetensors=tensors, best__safetensors=tensors).find(ranks) is not None
    planted: list[dict[str, bytes]] = [
        {"state__safetensors": trap.pickle},
        {"state__safetensors": tensors, "best__safetensors": trap.pickle},
        {"state__safetensors": tensors, "optimizer__pt": trap.pickle},
    ]
    for i, files in enumerate(planted):
        assert _resume(tmp_path / str(i), **files).find(ranks) is None
        assert f"{tmp_path / str(i)}: the resume state is damaged and is not used" in caplog.text
    assert not trap.sprung


def test_a_tampered_resume_state_is_not_used(tmp_path: Path, trap: Trap, ranks: Ranks) -> None:
    state = _resume(tmp_path / "resume")
    (tmp_path / "resume" / "state.safetensors").write_bytes(trap.pickle)
    assert state.find(ranks) is None
    assert not trap.sprung


# --- data --------------------------------------------------------------------------------------------------


def test_a_pickle_for_a_table_is_refused(trap: Trap, tmp_path: Path) -> None:
    (tmp_path / "test-en-0123456789ab.arrow").write_bytes(trap.pickle)
    with pytest.raises(StiltsError, match="is not an Arrow file"):
        read_table(tmp_path / "test-en-0123456789ab.arrow")
    assert not trap.sprung


def _source(folder: Path, **more: str) -> HubSource:
    columns = {"text_a": "a", "text_b": "b", "label": "label"}
    return HubSource(id=str(folder), revision="", splits={"train": "train"}, columns=columns, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["train.pkl", "train.pickle", "train.pt", "train.npy", "train.npz", "train.joblib"])
def test_a_data_folder_of_pickles_is_refused(trap: Trap, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / name).write_bytes(trap.pickle)
    with pytest.raises(StiltsError, match="cannot load"):
        hub.load(_source(folder), get_task("xnli"), "train", "en")
    assert not trap.sprung


def test_a_data_folder_that_asks_for_pandas_pickles_is_refused(trap: Trap, tmp_path: Path) -> None:
    """A repository's README.md may name the reader of its files."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.pkl").write_bytes(trap.pickle)
    for card in ("configs:\n- config_name: default\n  data_files: train.pkl\n", "builder_name: pandas\n"):
        (folder / "README.md").write_text(f"---\n{card}---\n")
        with pytest.raises(StiltsError, match="cannot load"):
            hub.load(_source(folder), get_task("xnli"), "train", "en")
    assert not trap.sprung


@pytest.mark.parametrize("pattern", ["{split}.pkl", "{split}.parquet"])
def test_a_pickle_that_is_called_parquet_is_refused(trap: Trap, tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / pattern.replace("{split}", "train")).write_bytes(trap.pickle)
    with pytest.raises(StiltsError, match="cannot load"):
        hub.load(_source(folder, files=pattern), get_task("xnli"), "train", "en")
    assert not trap.sprung
