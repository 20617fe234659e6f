"""Analyse: every table of an experiment, from what the store holds. Whatever is shown or written is made of these."""

from collections.abc import Mapping

import pyarrow as pa

from stilts.errors import StiltsError, nearest
from stilts.plan.expand import Expansion
from stilts.results.aggregate import languages_table, summary_table
from stilts.results.analyses import analysis_tables
from stilts.results.gather import gather
from stilts.results.items.gather import Shown, items_table
from stilts.results.items.kept import Kept
from stilts.results.learning.tables import learning_tables
from stilts.results.options import Options
from stilts.results.robustness import robustness_table
from stilts.results.study import study_table
from stilts.results.training import training_table
from stilts.results.variance import variance_table
from stilts.storage.protocol import Store

Tables = Mapping[str, pa.Table]
"""Tables by name; NAME.parquet in the results folder is the same."""


def analyse(
    expansion: Expansion, store: Store, options: Options, shown: Shown = iter, kept: Kept | None = None
) -> Tables:
    """The results of an experiment and what follows from them.

    Args:
        shown: wraps the loop over the test sets whose predictions are compared, to show its progress.
        kept: what was counted of predictions before.

    Raises:
        StiltsError: the baseline is none of the experiment's regimes.
    """
    regimes = expansion.experiment.intermediates
    if options.baseline not in regimes and options.baseline != Options().baseline:
        raise StiltsError(
            f"--baseline: the experiment has no regime {options.baseline!r}; {nearest(options.baseline, regimes)}"
        )
    tables = over_seeds(gather(expansion, store), options)
    return {
        **tables,
        "items": items_table(expansion, store, options, shown, kept),
        **analysis_tables(expansion, store, tables["results"], tables["languages"], options.baseline),
        **learning_tables(expansion, store),
        "training": training_table(expansion, store),
    }


def over_seeds(results: pa.Table, options: Options) -> Tables:
    """A table of results, and what it says of several seeds."""
    summary = summary_table(results, options)
    return {
        "results": results,
        "summary": summary,
        "languages": languages_table(results, summary, options),
        "study": study_table(results, options),
        "variance": variance_table(results),
        "robustness": robustness_table(results, options.baseline),
    }
