"""The tables `best`, `published`, `similarity` and `similarity_points`."""

import pyarrow as pa

from stilts.plan.expand import Expansion
from stilts.results.best import best
from stilts.results.gather import gather_choice
from stilts.results.published.published import beside_published
from stilts.results.similarity.pretraining import pretrainings
from stilts.results.similarity.similarity import similarity
from stilts.results.table import ZERO_SHOT
from stilts.storage.protocol import Store


def analysis_tables(
    expansion: Expansion, store: Store, results: pa.Table, languages: pa.Table, baseline: str
) -> dict[str, pa.Table]:
    """Compute the tables `best`, `published`, `similarity` and `similarity_points` of an experiment.

    Args:
        results, languages: the tables of these names.
        baseline: the regime that the others are compared with.
    """
    cells, read_evaluation = gather_choice(expansion, store)
    chosen = best(results, cells, read_evaluation, baseline)
    official = {row["target"] for row in results.select(["target", "task", "setting"]).to_pylist() if _official(row)}
    points, correlations = similarity(languages, official, pretrainings(expansion))
    return {
        "best": chosen,
        "published": beside_published(results, chosen, baseline, _extractions(expansion)),
        "similarity": correlations,
        "similarity_points": points,
    }


def _official(row: dict[str, str]) -> bool:
    return row["target"] == row["task"] and row["setting"] == ZERO_SHOT


def _extractions(expansion: Expansion) -> dict[str, str]:
    """How the evaluations of each target extract answers: `official` if all use that setting, otherwise `ours`."""
    found: dict[str, set[str]] = {}
    for cell in expansion.cells:
        for branch in cell.branches:
            for spec in branch.evaluations:
                found.setdefault(cell.target, set()).add(spec.settings.get("extraction", "ours"))
    return {target: "official" if kinds == {"official"} else "ours" for target, kinds in found.items()}
