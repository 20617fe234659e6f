"""Noise: canonical examples with typing errors, recognition errors and the like. It is used in evaluations only.

`perturb(table, task, condition, language)` changes the columns that the task's family names (`Family.noise`) by one of
the kinds in `kinds.KINDS`. It is a pure function: each field of each row has random numbers of its own, so that neither
the order of the rows nor how they are split matters. It reads the gold only where an answer would vanish otherwise.

Thresholds (BUCC, SQuAD 2.0) are chosen on the clean dev set, like those of a system that does not expect noise.
"""

from stilts.data.noise.kinds import KINDS, kind
from stilts.data.noise.perturb import Noisy, perturb
from stilts.data.noise.problems import noise_problems
from stilts.discovery import import_modules

import_modules(__name__)

__all__ = ["KINDS", "Noisy", "kind", "noise_problems", "perturb"]
