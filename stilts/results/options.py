"""Options of the analyses: what a person chooses about how results are compared."""

from dataclasses import dataclass

from stilts.experiment.experiment import NONE


@dataclass(frozen=True)
class Options:
    """How results are compared.

    Attributes:
        baseline: the regime that every other regime of the same model is compared to.
        difference: points, of which the number of seeds is said that would show it.
    """

    baseline: str = NONE
    difference: float = 1.0
