"""Options of the analyses that a person can set on the command line."""

from dataclasses import dataclass

from stilts.experiment.experiment import NONE


@dataclass(frozen=True)
class Options:
    """How results are compared.

    Attributes:
        baseline: the regime that every other regime of the same model is compared with.
        difference: a difference in points that matters. The tables give the number of seeds needed to detect it.
    """

    baseline: str = NONE
    difference: float = 1.0
