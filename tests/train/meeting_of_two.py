"""What each of two ranks runs for test_ranks: `python meeting_of_two.py RANK PORT LATE`.

Collective operations time out after a second. Rank LATE comes two seconds late to each kind of operation.
"""

import sys
import time

import torch

from stilts.train import ranks as module
from stilts.train.ranks import Ranks, connect


def main(rank: int, port: int, late: int) -> None:
    module.COLLECTIVE_SECONDS, module._LOOK_SECONDS = 1.0, 0.5
    ranks = connect(rank, 2, "127.0.0.1", port, torch.device("cpu"))

    def come(ranks: Ranks) -> None:
        if ranks.rank == late:
            time.sleep(2)

    come(ranks)
    ranks.barrier()
    come(ranks)
    assert ranks.broadcast("leader" if ranks.leader else None) == "leader"
    come(ranks)
    assert ranks.gather(ranks.rank) == [0, 1]
    come(ranks)
    assert ranks.sum(1.0) == [2.0]
    assert ranks.on_each_node(lambda: come(ranks) or rank) == 0
    for _ in range(50):
        ranks.barrier()
    print("met", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
