"""Measures the search behind bitext mining (BUCC 2018) beside faiss's exact index, on this CPU.

    python benchmarks/mining.py                  # 20,000 x 30,000 sentences, 1,024 dimensions
    python benchmarks/mining.py --full           # 200,000 x 300,000, about the size of BUCC's German-English

Mining needs the 4 nearest neighbours by cosine of each sentence of either side. stilts computes each block of the
similarity matrix once and searches it along both axes. faiss searches one direction at a time: `IndexFlatIP` of the
normalised targets for the sources, and the reverse. Both use the same number of threads, and both are given random
vectors. The share of equal neighbours is printed too. Without faiss (`pip install faiss-cpu`), only stilts is measured.
The exit status is 1 if stilts takes more than 1.2 times as long.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from stilts.evaluate import mining

K = 4
LIMIT = 1.2


def faiss_neighbours(left: np.ndarray, right: np.ndarray, faiss: Any) -> np.ndarray:
    """Rows of the K nearest neighbours of each right row among the left ones, and of each left row, laid end to end."""
    x, y = left.copy(), right.copy()
    faiss.normalize_L2(x)
    faiss.normalize_L2(y)
    found = []
    for queries, corpus in ((y, x), (x, y)):
        index = faiss.IndexFlatIP(corpus.shape[1])
        index.add(corpus)
        found.append(index.search(queries, K)[1])
    return np.concatenate(found)


def our_neighbours(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    _, forward, _, backward = mining._neighbours(left, right, K)
    return np.concatenate([backward, forward])


def timed(search: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    began = time.perf_counter()
    found = search()
    return time.perf_counter() - began, found


def measure(rows: int, columns: int, dimensions: int, threads: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((n, dimensions), dtype=np.float32) for n in (rows, columns))
    torch.set_num_threads(threads)
    ours, found = timed(lambda: our_neighbours(left, right))
    result: dict[str, Any] = {"rows": rows, "columns": columns, "dimensions": dimensions, "threads": threads}
    result["stilts seconds"] = ours
    try:
        import faiss
    except ImportError:
        return result | {"skipped": "faiss is not installed: pip install faiss-cpu"}
    faiss.omp_set_num_threads(threads)
    theirs, expected = timed(lambda: faiss_neighbours(left, right, faiss))
    return result | {"faiss seconds": theirs, "ratio": ours / theirs, "equal": float((found == expected).mean())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="200,000 x 300,000 sentences")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=30_000)
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows, columns = (200_000, 300_000) if options.full else (options.rows, options.columns)
    found = measure(rows, columns, options.dimensions, options.threads)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    return int(found.get("ratio", 0.0) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
