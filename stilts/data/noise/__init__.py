"""Noise: canonical examples as a careless writer or a reading machine would have left them. For evaluation only.

`perturb(table, task, condition, language)` changes what `fields.py` says of the task's family, by a kind of
`kinds.py`. It is a pure function: each field of each row has random numbers of its own, so that neither the order of
the rows nor their division matters, and it knows nothing of the gold except where an answer would vanish.
"""

from stilts.data.noise.kinds import KINDS
from stilts.data.noise.perturb import Noisy, perturb
from stilts.data.noise.problems import noise_problems

__all__ = ["KINDS", "Noisy", "noise_problems", "perturb"]
