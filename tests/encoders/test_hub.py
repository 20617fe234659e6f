"""Hub models are checked by their headers before the first trial, against a local server that speaks like the hub."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from stilts.encoders.hub import hub_problems
from stilts.encoders.pins import resolve_revision
from stilts.errors import StiltsError
from tests.train.toys import make_base

COMMIT = "a" * 40


class Hub:
    """A folder served as the model `some/model`, whose pull request 2 is COMMIT.

    Attributes:
        sent: bytes of bodies sent, by file name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.sent = folder, dict[str, int]()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def log_message(self, *arguments: Any) -> None:
                pass

            def answer(self, body: bool) -> None:
                path = self.path.partition("?")[0].replace("%2F", "/")
                if path.startswith("/api/models/some/model/revision/"):
                    if path.rpartition("revision/")[2] not in (COMMIT, "refs/pr/2"):
                        self.send_error(404)
                        return
                    files = [{"rfilename": file.name} for file in hub.folder.iterdir()]
                    self.reply(
                        json.dumps({"id": "some/model", "sha": COMMIT, "siblings": files}).encode(), "info", body
                    )
                    return
                if path.startswith(f"/api/models/some/model/tree/{COMMIT}"):
                    tree = [
                        {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "0" * 40}
                        for file in hub.folder.iterdir()
                    ]
                    self.reply(json.dumps(tree).encode(), "tree", body)
                    return
                file = hub.folder / path.rpartition("/")[2]
                if not path.startswith(f"/some/model/resolve/{COMMIT}/") or not file.is_file():
                    self.send_error(404)
                    return
                self.reply(file.read_bytes(), file.name, body)

            def reply(self, content: bytes, name: str, body: bool) -> None:
                whole, status = len(content), 200
                if ranged := self.headers.get("Range"):
                    first, _, last = ranged.removeprefix("bytes=").partition("-")
                    content, status = content[int(first) : int(last or whole) + 1], 206
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("ETag", f'"{name}{whole}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.end_headers()
                if body:
                    hub.sent[name] = hub.sent.get(name, 0) + len(content)
                    self.wfile.write(content)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def hub(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    served = Hub(make_base(tmp_path / "served", text_file))
    url = f"http://127.0.0.1:{served.server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", url)
    threading.Thread(target=served.server.serve_forever, daemon=True).start()
    yield served
    served.server.shutdown()


def test_a_good_model_passes_and_only_headers_of_its_weights_are_read(hub: Hub) -> None:
    with (hub.folder / "model.safetensors").open("r+b") as stream:
        size = stream.seek(0, 2)
    # The client reads the first 100 kB of a file for its header.
    big = {**load_file(hub.folder / "model.safetensors"), "lm_head.more": torch.zeros(2_000_000)}
    save_file(big, hub.folder / "model.safetensors", metadata={"format": "pt"})
    assert hub_problems("some/model", COMMIT) == []
    assert hub.sent["model.safetensors"] < 300_000 < size + 8_000_000


def test_problems_name_the_model_instead_of_the_cache(hub: Hub) -> None:
    config = json.loads((hub.folder / "config.json").read_text())
    (hub.folder / "config.json").write_text(json.dumps({**config, "hidden_size": 64, "model_type": "xlm-roberta"}))
    (problem,) = hub_problems("some/model", COMMIT)
    assert problem.startswith(f"some/model@{COMMIT}/model.safetensors: ")
    assert "tensors have another shape than config.json says" in problem
    (hub.folder / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))


def test_a_decoder_a_pickle_and_a_broken_header(hub: Hub) -> None:
    (hub.folder / "model.safetensors").write_bytes(b"\0" * 500)
    assert "the header cannot be read" in hub_problems("some/model", COMMIT)[0]
    (hub.folder / "model.safetensors").rename(hub.folder / "pytorch_model.bin")
    assert "has no safetensors" in hub_problems("some/model", COMMIT)[0]
    assert "cannot be downloaded" in hub_problems("some/model", "b" * 40)[0]
    assert "cannot be downloaded" in hub_problems("some/other", COMMIT)[0]


def test_shards_are_read_one_by_one(hub: Hub) -> None:
    AutoModel.from_pretrained(hub.folder).save_pretrained(hub.folder, max_shard_size="20KB")
    (hub.folder / "model.safetensors").unlink()
    assert hub_problems("some/model", COMMIT) == []


def test_a_declared_shape_must_be_the_models(hub: Hub) -> None:
    assert hub_problems("some/model", COMMIT, {"hidden_size": 32}) == []
    (problem,) = hub_problems("some/model", COMMIT, {"hidden_size": 33})
    assert "shape.hidden_size is 33 and its config.json says 32" in problem


def test_a_snapshot_in_the_cache_needs_no_hub(hub: Hub, tmp_path: Path) -> None:
    snapshot = tmp_path / "cache" / "models--some--model" / "snapshots" / COMMIT
    shutil.copytree(hub.folder, snapshot)
    assert hub_problems("some/model", COMMIT) == []
    assert not hub.sent
    (snapshot / "tokenizer.json").unlink()
    assert "no tokenizer" in hub_problems("some/model", COMMIT)[0]


def test_a_name_is_resolved_to_its_commit(hub: Hub) -> None:
    assert resolve_revision("some/model", "refs/pr/2") == COMMIT
    with pytest.raises(StiltsError, match="is a name that can move"):
        resolve_revision("some/model", "main")
