"""Stilts: grids of intermediate task x target task x seed for multilingual encoders, evaluated on XTREME.

The functions below are the whole program; the command line prints what they return.

    >>> import stilts
    >>> experiment = stilts.load("ray_jobs/quickstart.yaml")
    >>> stilts.plan(experiment).figures["cells"]
    27

`load` reads an experiment, `plan` says what it costs, `run` trains and evaluates what is missing, `collect` and
`report` give the results, `claims` judges the experiment's claims and `verify` recomputes the verdicts, `tune` searches
for a recipe, and `score` evaluates prediction files of any program.

Importing stilts is cheap: torch, Ray and transformers are loaded by the functions that need them.
"""

import importlib
from typing import TYPE_CHECKING, Any

# Two packages have the names of functions. Python binds a package to its parent when it is first imported, so they are
# imported before the functions: no later import then replaces a function by a package.
import stilts.plan
import stilts.run  # noqa: F401
from stilts.api import (
    claims,
    collect,
    debug,
    explain,
    load,
    logs,
    plan,
    report,
    run,
    score,
    status,
    submission,
    tune,
    verify,
)
from stilts.version import __version__

if TYPE_CHECKING:
    from stilts.api.objects import (
        Claims,
        Explanation,
        PlanResult,
        Report,
        Results,
        Scores,
        StageLogs,
        Status,
        Submission,
        Verified,
    )
    from stilts.errors import LimitReached, Problems, StiltsError
    from stilts.experiment.experiment import Experiment
    from stilts.experiment.mistakes import InvalidExperiment
    from stilts.experiment.search import Tuning
    from stilts.run.result import RunResult
    from stilts.search.result import TuneResult
    from stilts.storage.open import open_store
    from stilts.storage.protocol import Store

_LAZY = {
    **dict.fromkeys(
        (
            "Claims",
            "Explanation",
            "PlanResult",
            "Report",
            "Results",
            "Scores",
            "StageLogs",
            "Status",
            "Submission",
            "Verified",
        ),
        "stilts.api.objects",
    ),
    **dict.fromkeys(("LimitReached", "Problems", "StiltsError"), "stilts.errors"),
    "Experiment": "stilts.experiment.experiment",
    "InvalidExperiment": "stilts.experiment.mistakes",
    "Tuning": "stilts.experiment.search",
    "RunResult": "stilts.run.result",
    "TuneResult": "stilts.search.result",
    "Store": "stilts.storage.protocol",
    "open_store": "stilts.storage.open",
}
"""Public names that are loaded when they are first used, and their modules."""

__all__ = [
    "Claims",
    "Experiment",
    "Explanation",
    "InvalidExperiment",
    "LimitReached",
    "PlanResult",
    "Problems",
    "Report",
    "Results",
    "RunResult",
    "Scores",
    "StageLogs",
    "Status",
    "StiltsError",
    "Store",
    "Submission",
    "TuneResult",
    "Tuning",
    "Verified",
    "__version__",
    "claims",
    "collect",
    "debug",
    "explain",
    "load",
    "logs",
    "open_store",
    "plan",
    "report",
    "run",
    "score",
    "status",
    "submission",
    "tune",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'stilts' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return __all__
