"""The head of ranking with graded relevance: that of dual encoders."""

from stilts.train.heads.dual_encoder import DualEncoder
from stilts.train.heads.registry import register


class Ranking(DualEncoder):
    """Pairs of a query and a relevant text, contrasted with the other texts of a block."""

    family = "ranking"


register(Ranking())
