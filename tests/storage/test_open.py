"""URIs of stores: which backend opens them, and which folder they name."""

from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.storage.bucket.store import ObjectStore
from stilts.storage.local import LocalStore
from stilts.storage.open import local_folder, open_store


def test_paths_open_a_local_store(tmp_path: Path) -> None:
    for uri in (str(tmp_path), f"file://{tmp_path}"):
        store = open_store(uri)
        assert isinstance(store, LocalStore)
        assert store.root == tmp_path


@pytest.mark.parametrize("uri", ["s3://bucket/runs?region=eu-west-1", "gs://bucket/runs"])
def test_buckets_open_without_a_connection(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path))
    store = open_store(uri)
    assert isinstance(store, ObjectStore)
    assert store.uri == uri
    assert local_folder(uri) is None


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(
        StiltsError, match="no storage for hdfs://; give a local or shared directory, s3://BUCKET/PREFIX"
    ):
        open_store("hdfs://name/x")


def test_the_folder_of_a_path_is_as_it_was_given() -> None:
    assert local_folder("runs/store") == Path("runs/store")
    assert local_folder("file:///data/store") == Path("/data/store")
