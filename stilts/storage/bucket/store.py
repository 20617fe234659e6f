"""ObjectStore: artifacts in a bucket of S3, of an S3-compatible server, or of Google Cloud Storage.

A single object is written atomically, and `create` is a conditional write of the server. A tree consists of many
objects. They are written to a folder with a new random name. When all are complete, one object that names this folder
is written at the path of the tree:

    stages/NAME/weights                     {"tree": "weights.tree-ID", "files": {manifest}}
    stages/NAME/weights.tree-ID/config.json
    stages/NAME/weights.tree-ID/model.safetensors

The tree is replaced by replacing that one object. `publish` stores files in the same way. A killed writer leaves an
orphaned folder that no object names. It is never listed, and the next writer of a tree at that path removes it if it is
older than `STALE_SECONDS`. A large file is uploaded in parts, and the object appears when the upload is completed. The
parts of a killed writer stay in the bucket, invisible, until a lifecycle rule of the bucket removes them.

If a file twice does not match its digest when it is downloaded, a marker file (`.damaged`) is written next to it. From
then on `has_tree` returns False, so that the plan rebuilds the tree.
"""

import builtins
import contextlib
import hashlib
import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError

from stilts.errors import StiltsError
from stilts.storage.bucket.clients import Clients, check_process, connect
from stilts.storage.bucket.transfer import download, upload
from stilts.storage.cache import Cache
from stilts.storage.protocol import Corrupt, Fence, Manifest, Measure, Unreachable, check_names, check_path, is_manifest
from stilts.storage.retry import retried
from stilts.storage.uri import Location
from stilts.storage.verified import digests, hash_file

STALE_SECONDS = 86400.0
"""Age after which a tree that no object names counts as orphaned. The upload of a large file can take hours."""

PARALLEL = 8
"""Maximum number of parallel requests, and of parallel uploads of files, in the transfer of one tree."""

_TREE = ".tree-"
_DAMAGED = ".damaged"
_TOKEN = "stilts-create"
_IN_TREE = re.compile(rf"(.+?{re.escape(_TREE)}[0-9a-f]{{12}})/")
_TREE_NAME = re.compile(rf"{re.escape(_TREE)}[0-9a-f]{{12}}$")

Answer = TypeVar("Answer")


class ObjectStore:
    """A `Store` in a bucket.

    It can be used from several threads, but not after a fork. It connects to the server on first use.

    Raises:
        StiltsError: there is no such bucket, permission or credentials are missing, or the cache is full.
        Unreachable: the server did not answer for `retry.RETRY_SECONDS`.
    """

    def __init__(self, location: Location, cache: Cache | None = None) -> None:
        self.location = location
        self.uri = location.uri
        self._cache = cache
        digest = hashlib.sha256(self.uri.encode()).hexdigest()
        self._name = f"{location.bucket}-{digest[:12]}"
        self._made: Clients | None = None
        self._making = threading.Lock()

    @property
    def cache(self) -> Cache:
        """The cache of this node. It is opened when it is needed first, because reading of objects needs none."""
        with self._making:
            if self._cache is None:
                self._cache = Cache()
            return self._cache

    # --- objects -------------------------------------------------------------------------------------------

    def read(self, path: str) -> bytes | None:
        check_path(path)
        try:
            return self._ask("reading", path, lambda: bytes(obstore.get(self._objects, path).bytes()))
        except FileNotFoundError:
            return None

    def write(self, path: str, content: bytes, fence: Fence | None = None) -> None:
        check_path(path)
        if fence is None:
            self._ask("writing", path, lambda: obstore.put(self._objects, path, content))
            return
        # The version is read before the fence is asked: whoever takes over later changes it, and the write fails.
        while True:
            before = self.read_version(path)
            fence()
            done = self.create(path, content) if before is None else self.replace(path, content, before[1])
            if done or self.read(path) == content:  # the answer to the write may have been lost
                return

    def create(self, path: str, content: bytes) -> bool:
        check_path(path)
        token = uuid.uuid4().hex
        asked = 0

        def ask() -> bool:
            nonlocal asked
            asked += 1
            try:
                obstore.put(
                    self._objects, path, content, mode="create", attributes={_TOKEN: token}, use_multipart=False
                )
            except (AlreadyExistsError, PreconditionError):
                # The response to an earlier attempt may have been lost. Then the object has our token.
                return asked > 1 and self._token(path) == token
            return True

        return self._ask("creating", path, ask)

    def read_version(self, path: str) -> tuple[bytes, str] | None:
        check_path(path)

        def ask() -> tuple[bytes, str]:
            found = obstore.get(self._objects, path)
            return bytes(found.bytes()), _version(found.meta)

        try:
            return self._ask("reading", path, ask)
        except FileNotFoundError:
            return None

    def replace(self, path: str, content: bytes, version: str) -> str | None:
        check_path(path)

        def ask() -> str | None:
            try:
                put = obstore.put(self._objects, path, content, mode=json.loads(version), use_multipart=False)
            except (PreconditionError, FileNotFoundError):
                return None
            return _version(put)

        return self._ask("replacing", path, ask)

    def list(self, folder: str) -> Iterator[str]:
        check_path(folder)
        names = self._names(folder)
        if not names and folder != ".":
            tree = self._tree(folder)
            names = {name.partition("/")[0] for name in tree["files"]} if tree else set()
        yield from sorted(name for name in names if not _is_tree(name))

    def remove(self, path: str, fence: Fence | None = None) -> None:
        check_path(path)
        if path == ".":
            raise StiltsError(f"{self.location}: a whole store is not removed; remove it with the cloud's own tools")
        parent, _, name = path.rpartition("/")
        folders = [
            f"{parent}/{found}" if parent else found
            for found in self._names(parent or ".")
            if found == name or found.startswith(name + _TREE)
        ]
        below = [[meta["path"] for meta in self._below(folder)] for folder in folders]
        if fence is not None:
            # Everything was listed before the fence is asked, so that nothing goes that is written later.
            before = self.read_version(path)
            fence()
            # No server of S3 removes on a condition: the object is emptied on one first.
            if before is not None and self.replace(path, b"", before[1]) is None:
                return  # somebody else has written it
        # The object that names the tree is removed first, so that it never names an incomplete tree.
        self._delete([path])
        for paths in below:
            self._delete_all(paths)

    def measure(self, path: str) -> Measure | None:
        check_path(path)
        found = self._below(path)
        with contextlib.suppress(FileNotFoundError):
            found.append(self._ask("reading", path, lambda: obstore.head(self._objects, path)))
            tree = self._tree(path)
            found += self._below(_folder(path, tree)) if tree else []
        return Measure(sum(meta["size"] for meta in found), _newest(found)) if found else None

    def orphans(self) -> Iterator[str]:
        folders: dict[str, builtins.list[Any]] = {}
        objects = set()
        for meta in self._below(None):
            found = _IN_TREE.match(meta["path"])
            if found:
                folders.setdefault(found[1], []).append(meta)
            else:
                objects.add(meta["path"])
        trees = Counter(folder.rpartition(_TREE)[0] for folder in folders)
        for folder, metas in sorted(folders.items()):
            path = folder.rpartition(_TREE)[0]
            # If there is an object at the path and only one folder, that folder is the current tree: a writer removes
            # the previous folder only after it has written the object that names the new one.
            if time.time() - _newest(metas) < STALE_SECONDS or (path in objects and trees[path] == 1):
                continue
            tree = self._tree(path)
            if tree is None or _folder(path, tree) != folder:
                yield folder

    # --- trees ---------------------------------------------------------------------------------------------

    def put_tree(self, source: Path, path: str, fence: Fence | None = None) -> Manifest:
        check_path(path)
        return self._put(path, _files(source), single=False, fence=fence)

    def has_tree(self, path: str, manifest: Manifest) -> bool:
        check_path(path)
        check_names(manifest)
        tree = self._tree(path)
        return tree is not None and tree["files"] == manifest and self._listed(_folder(path, tree)) == _sizes(manifest)

    def fetch_tree(self, path: str, manifest: Manifest) -> Path:
        check_path(path)
        check_names(manifest)
        return self._fetch(path, manifest or self._found(path)["files"])

    def scratch(self, path: str) -> Path:
        check_path(path)
        return self.cache.scratch(self._name if path == "." else f"{self._name}/{path}")

    def publish(self, path: str) -> None:
        check_path(path)
        source = self.cache.root / "scratch" / self._name / path
        if source.is_dir():
            self.put_tree(source, path)
        elif source.is_file():
            self._put(path, {source.name: source}, single=True)
        else:
            raise StiltsError(f"{source} cannot be published: nothing is there")

    def obtain(self, path: str) -> Path:
        check_path(path)
        while True:
            tree = self._found(path)
            own = self._own(path, tree)
            if own:
                return own
            try:
                folder = self._fetch(path, tree["files"])
            except Corrupt:
                if self._found(path)["tree"] == tree["tree"]:
                    raise
                continue  # it was replaced in the meantime
            return folder / next(iter(tree["files"])) if tree["single"] else folder

    # --- layout of trees -------------------------------------------------------------------------------------

    def _put(self, path: str, files: dict[str, Path], *, single: bool, fence: Fence | None = None) -> Manifest:
        before = self._tree(path)
        folder = f"{path}{_TREE}{uuid.uuid4().hex[:12]}"
        with ThreadPoolExecutor(PARALLEL) as pool:
            sent = pool.map(lambda name: self._upload(files[name], f"{folder}/{name}"), files)
            manifest: Manifest = dict(zip(files, sent, strict=True))
        if self._listed(folder) != _sizes(manifest):
            raise Unreachable(f"{self._at(folder)}: what arrived is not what was sent; run the same command again")
        tree = {"tree": folder.rpartition("/")[2], "single": single, "files": manifest}
        self.write(path, json.dumps(tree).encode(), fence)
        if before:
            self._delete_below(_folder(path, before))
        self._clear_stale(path)
        return manifest

    def _upload(self, source: Path, path: str) -> dict[str, int | str]:
        what = f"writing {self._at(path)}"
        return upload(source, self._clients.objects, self._clients.files, path, what, self.uri)

    def _tree(self, path: str) -> dict[str, Any] | None:
        """Content of the object that names the tree at a path; None if there is no tree."""
        try:
            tree = json.loads(self.read(path) or b"null")
        except ValueError:
            return None
        if not isinstance(tree, dict) or not {"tree", "single"} <= tree.keys() or not is_manifest(tree.get("files")):
            return None
        check_names(tree["files"])
        name = str(tree["tree"])
        if not _is_tree(name) or name.rpartition(_TREE)[0] != path.rpartition("/")[2]:
            raise Corrupt(f"{self._at(path)} names {name!r} as its folder, which is none that stilts made")
        return tree

    def _found(self, path: str) -> dict[str, Any]:
        tree = self._tree(path)
        if tree is None:
            raise Corrupt(f"{self._at(path)} is missing; run the experiment again to rebuild it")
        return tree

    def _fetch(self, path: str, manifest: Manifest) -> Path:
        """Copy of a tree in the node's cache, downloaded if necessary. Stores share copies with equal manifests."""
        key = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:32]
        return self.cache.copy(key, _sizes(manifest), lambda folder: self._download(path, manifest, folder))

    def _download(self, path: str, manifest: Manifest, target: Path) -> None:
        tree = self._found(path)
        folder = _folder(path, tree)
        there = self._listed(folder)
        for name, expected in manifest.items():
            if name not in tree["files"] or name not in there:
                raise Corrupt(f"{self._at(path)}/{name} is missing; run the experiment again to rebuild it")
            if tree["files"][name] != expected:
                raise Corrupt(f"{self._at(path)}/{name} is not what was written; run again to rebuild it")
        with ThreadPoolExecutor(PARALLEL) as pool, ThreadPoolExecutor(PARALLEL) as ranges:

            def one(name: str) -> None:
                size = int(manifest[name]["bytes"])
                for _ in range(2 if there[name] == size else 0):
                    self._download_file(f"{folder}/{name}", size, target / name, ranges)
                    if hash_file(target / name) == manifest[name]["sha256"]:
                        return
                self.write(f"{folder}/{_DAMAGED}", name.encode())
                raise Corrupt(
                    f"{self._at(folder)}/{name} is not what was written (its digest differs); run again to rebuild it"
                )

            builtins.list(pool.map(one, manifest))

    def _download_file(self, path: str, size: int, target: Path, ranges: ThreadPoolExecutor) -> None:
        try:
            download(self._objects, path, size, target, ranges, f"reading {self._at(path)}", self.uri)
        except FileNotFoundError:
            raise Corrupt(f"{self._at(path)} is missing; run the experiment again to rebuild it") from None

    def _own(self, path: str, tree: dict[str, Any]) -> Path | None:
        """Local path of files that this node published itself; None if there are none or they have changed."""
        own = self.cache.root / "scratch" / self._name / path
        folder = own.parent if tree["single"] else own
        if not folder.is_dir():
            return None
        self.cache.scratch(folder.relative_to(self.cache.root / "scratch").as_posix())
        there = {own.name} if tree["single"] else set(_files(own))
        if there != tree["files"].keys():
            return None
        found = digests(folder, list(tree["files"]))
        same = all(found[name] == (file["bytes"], file["sha256"]) for name, file in tree["files"].items())
        return own if same else None

    def _clear_stale(self, path: str) -> None:
        """Remove the orphaned folders of killed writers at a path."""
        current = self._tree(path)
        parent, _, name = path.rpartition("/")
        for found in self._names(parent or "."):
            folder = f"{parent}/{found}" if parent else found
            if current and found.startswith(name + _TREE) and found != current["tree"]:
                metas = self._below(folder)
                if metas and time.time() - _newest(metas) > STALE_SECONDS:
                    self._delete_below(folder)

    # --- requests ------------------------------------------------------------------------------------------

    @property
    def _clients(self) -> Clients:
        check_process()
        with self._making:
            if self._made is None:
                self._made = retried(lambda: connect(self.location), f"opening {self.location}", self.uri)
            return self._made

    @property
    def _objects(self) -> Any:
        return self._clients.objects

    def _at(self, path: str) -> str:
        return f"{self.location}/{path}"

    def _ask(self, act: str, path: str, ask: Callable[[], Answer]) -> Answer:
        return retried(ask, f"{act} {self._at(path)}", self.uri)

    def _token(self, path: str) -> str | None:
        return self._ask("reading", path, lambda: obstore.get(self._objects, path).attributes.get(_TOKEN))

    def _names(self, folder: str) -> set[str]:
        """Names of the objects and folders directly in a folder."""
        prefix = None if folder == "." else folder
        found = self._ask("listing", folder, lambda: obstore.list_with_delimiter(self._objects, prefix))
        paths = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
        return {path.rstrip("/").rpartition("/")[2] for path in paths} - {""}

    def _below(self, folder: str | None) -> builtins.list[Any]:
        """All objects in a folder and its subfolders; with None, in the whole store."""
        return self._ask("listing", folder or ".", lambda: [*obstore.list(self._objects, folder).collect()])

    def _listed(self, folder: str) -> dict[str, int]:
        return {meta["path"].removeprefix(f"{folder}/"): meta["size"] for meta in self._below(folder)}

    def _delete_below(self, folder: str) -> None:
        """Delete all objects in a folder."""
        self._delete_all([meta["path"] for meta in self._below(folder)])

    def _delete_all(self, paths: builtins.list[str]) -> None:
        """Delete objects. Records go first, because they state that the other files are complete."""
        for vouched in (True, False):
            self._delete([path for path in paths if path.endswith("record.json") is vouched])

    def _delete(self, paths: builtins.list[str]) -> None:
        if not paths:
            return
        try:
            self._ask("removing", paths[0], lambda: obstore.delete(self._objects, paths))
        except FileNotFoundError:
            # Google Cloud refuses to remove what is gone already, and leaves the others of the request.
            for path in paths if len(paths) > 1 else ():
                self._delete([path])


def _version(meta: Any) -> str:
    """What identifies the content of an object to the server: an entity tag, and on Google Cloud a generation."""
    return json.dumps({name: meta[name] for name in ("e_tag", "version") if meta.get(name)})


def _is_tree(name: str) -> bool:
    return _TREE_NAME.search(name) is not None


def _folder(path: str, tree: dict[str, Any]) -> str:
    parent = path.rpartition("/")[0]
    return f"{parent}/{tree['tree']}" if parent else tree["tree"]


def _newest(metas: builtins.list[Any]) -> float:
    return max(meta["last_modified"].timestamp() for meta in metas)


def _files(folder: Path) -> dict[str, Path]:
    return {item.relative_to(folder).as_posix(): item for item in sorted(folder.rglob("*")) if item.is_file()}


def _sizes(manifest: Manifest) -> dict[str, int]:
    return {name: int(file["bytes"]) for name, file in manifest.items()}
