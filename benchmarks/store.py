"""Measures the throughput of the store on a local disk and on an S3 server, and counts the requests of a stage.

    python benchmarks/store.py --megabytes 300                 # S3 is a moto server on this machine
    python benchmarks/store.py --store s3://bucket/prefix      # a real bucket

A tree of weights is written once and fetched twice: with an empty cache, and with the copy that the first fetch cached.
The requests are those that one stage makes apart from its training. moto is a Python program that keeps objects in
memory and shares the processors with the client. Its throughput is therefore a lower bound of what a cloud offers.
"""

import argparse
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stilts.ledger.record import write_stage
from stilts.storage.bucket.store import ObjectStore
from stilts.storage.cache import Cache
from stilts.storage.lease import Lease
from stilts.storage.local import LocalStore
from stilts.storage.open import open_store
from stilts.storage.protocol import Store
from tests.servers import KEYS, HttpProxy, make_bucket, s3_server, s3_uri


def throughput(store: Store, megabytes: int, folder: Path) -> dict[str, float]:
    """Throughput in megabytes per second of writing one tree, fetching it, and fetching it again."""
    source = folder / "weights"
    source.mkdir()
    (source / "model.safetensors").write_bytes(os.urandom(megabytes * 1_000_000))
    (source / "config.json").write_text("{}")
    path = f"benchmark/{uuid.uuid4().hex[:12]}"
    began = time.perf_counter()
    manifest = store.put_tree(source, path)
    times = {"put": time.perf_counter() - began}
    for name in ("fetch", "fetch again"):
        began = time.perf_counter()
        store.fetch_tree(path, manifest)
        times[name] = time.perf_counter() - began
    store.remove("benchmark")
    return {name: megabytes / seconds for name, seconds in times.items()}


def requests_of_a_stage(endpoint: str, folder: Path) -> dict[str, int]:
    """Number of requests for each step of a stage's work on the store."""
    counts = {}
    with HttpProxy(endpoint) as proxy:
        store = open_store(s3_uri(proxy.endpoint, "bucket/requests"))
        name = "a-0123456789ab"
        (folder / "tree").mkdir()
        (folder / "tree" / "model.safetensors").write_bytes(b"w" * 1000)
        (folder / "tree" / "config.json").write_bytes(b"{}")
        store.read("warm")

        def counted(what: str) -> None:
            counts[what] = len(proxy.requests)
            proxy.forget()

        proxy.forget()
        with Lease(store, f"stages/{name}") as lease:
            counted("lease taken")
            lease.check()
            counted("lease checked")
            lease._write()
            counts["lease renewed"] = counts["lease checked"] + len(proxy.requests)
            proxy.forget()
            manifest = store.put_tree(folder / "tree", f"stages/{name}/weights")
            counted("weights of two files put")
            write_stage(store, name, {"weights": manifest})
            counted("record written")
        counted("lease released")
        store.has_tree(f"stages/{name}/weights", manifest)
        counted("weights checked by a plan")
        ObjectStore(store.location, Cache(folder / "other")).fetch_tree(f"stages/{name}/weights", manifest)
        counted("weights of two files fetched by a node")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--store", help="measure this store instead of a server on this machine")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stilts-") as temporary:
        folder = Path(temporary)
        os.environ["STILTS_CACHE"] = str(folder / "cache")
        if given.store:
            show(given.store.partition("?")[0], throughput(open_store(given.store), given.megabytes, folder))
            return
        os.environ.update(KEYS)
        (folder / "disk").mkdir()
        show("local disk", throughput(LocalStore(folder / "store"), given.megabytes, folder / "disk"))
        with s3_server() as endpoint:
            make_bucket(endpoint, "bucket")
            store = open_store(s3_uri(endpoint, "bucket/speed"))
            show("S3 on localhost (moto)", throughput(store, given.megabytes, folder))
            for what, count in requests_of_a_stage(endpoint, folder).items():
                print(f"{what:40} {count:3} requests")


def show(name: str, speeds: dict[str, float]) -> None:
    print(f"{name:40} " + "  ".join(f"{what} {speed:,.0f} MB/s" for what, speed in speeds.items()), flush=True)


if __name__ == "__main__":
    main()
