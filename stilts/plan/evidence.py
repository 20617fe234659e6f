"""The evaluations that a claim rests on."""

from stilts.identity.stage import EvaluationSpec
from stilts.plan.claims import CLEAN, Claim
from stilts.plan.expand import Expansion


def evidence(expansion: Expansion, claim: Claim) -> dict[tuple[str, str], EvaluationSpec]:
    """The evaluations that a claim rests on: (key of the stage, path of the evaluation) -> the evaluation."""
    return {
        (branch.chain[-1], spec.path): spec
        for cell in expansion.cells
        if cell.model in claim.models and cell.intermediate in claim.regimes and cell.target in claim.targets
        for branch in cell.branches
        for spec in branch.evaluations
        if spec.split == claim.split and _condition(spec) in claim.conditions and claim.has_language(spec.language)
    }


def _condition(spec: EvaluationSpec) -> str:
    return CLEAN if spec.condition is None else spec.condition.name
