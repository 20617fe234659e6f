"""Computes all tables of an experiment from its store. Reports, figures and files are made from these tables."""

from collections.abc import Mapping

import pyarrow as pa

from stilts.errors import StiltsError, nearest
from stilts.ledger.declared_claims import declared_claims
from stilts.plan.claims import claims_of
from stilts.plan.expand import Expansion
from stilts.results.aggregate import languages_table, summary_table
from stilts.results.best import best
from stilts.results.claims.table import claims_table
from stilts.results.gather import gather, gather_choice
from stilts.results.items.gather import Shown, items_table
from stilts.results.items.kept import Kept
from stilts.results.learning.curves import curves_table
from stilts.results.learning.selection import selection_table
from stilts.results.learning.stages import used_stages
from stilts.results.published import beside_published
from stilts.results.robustness import robustness_table
from stilts.results.scores import official_targets
from stilts.results.seed_statistics import Options
from stilts.results.similarity.pretraining import pretrainings
from stilts.results.similarity.similarity import similarity
from stilts.results.study import study_table
from stilts.results.training import training_table
from stilts.results.variance import variance_table
from stilts.storage.protocol import Store

Tables = Mapping[str, pa.Table]
"""Tables by name. The results folder holds each as NAME.parquet."""


def analyse(
    expansion: Expansion, store: Store, options: Options, shown: Shown = iter, kept: Kept | None = None
) -> Tables:
    """Compute all tables of an experiment.

    Args:
        shown: wraps the loop over the test sets whose predictions are compared, to show its progress.
        kept: cache of the counts per item that earlier calls took from predictions.

    Raises:
        StiltsError: the experiment has no regime of the baseline's name.
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
        "claims": claims_of_store(expansion, store, tables["results"]),
    }


def claims_of_store(expansion: Expansion, store: Store, results: pa.Table) -> pa.Table:
    """The table `claims`.

    Args:
        results: the table of this name.
    """
    claims = claims_of(expansion.experiment)
    declared = declared_claims(store, expansion.experiment.name, claims)
    return claims_table(results, claims, pretrainings(expansion), declared)


def over_seeds(results: pa.Table, options: Options) -> Tables:
    """The table `results` and the tables of statistics over seeds that are computed from it alone."""
    summary = summary_table(results, options)
    return {
        "results": results,
        "summary": summary,
        "languages": languages_table(results, summary, options),
        "study": study_table(results, options),
        "variance": variance_table(results),
        "robustness": robustness_table(results, options.baseline),
    }


def analysis_tables(
    expansion: Expansion, store: Store, results: pa.Table, languages: pa.Table, baseline: str
) -> Tables:
    """The tables `best`, `published`, `similarity` and `similarity_points`.

    Args:
        results, languages: the tables of these names.
        baseline: the regime that the others are compared with.
    """
    cells, read_evaluation = gather_choice(expansion, store)
    chosen = best(results, cells, read_evaluation, baseline)
    official = official_targets(results.select(["target", "task", "setting"]).to_pylist())
    points, correlations = similarity(languages, official, pretrainings(expansion))
    return {
        "best": chosen,
        "published": beside_published(results, chosen, baseline, _extractions(expansion)),
        "similarity": correlations,
        "similarity_points": points,
    }


def learning_tables(expansion: Expansion, store: Store) -> Tables:
    """The tables `curves` and `selection`."""
    stages = used_stages(expansion, store)
    return {"curves": curves_table(stages), "selection": selection_table(stages)}


def _extractions(expansion: Expansion) -> dict[str, str]:
    """How the evaluations of each target extract answers: `official` if all use that setting, otherwise `ours`."""
    found: dict[str, set[str]] = {}
    for cell in expansion.cells:
        for branch in cell.branches:
            for spec in branch.evaluations:
                found.setdefault(cell.target, set()).add(spec.settings.get("extraction", "ours"))
    return {target: "official" if kinds == {"official"} else "ours" for target, kinds in found.items()}
