"""Keep: the stages among which `runtime.keep: best` chooses, and which of them has the best dev score.

The weights of stages that other stages start from are kept, as with `keep: intermediate`. The other stages are compared
in groups: one group for each base model and target, over all intermediate regimes and seeds. A target that is trained
language by language has one group for each language. Of each group, the stage with the highest score on the English dev
set is kept; of several equal scores, the one of the cell that the experiment lists first. A stage without a dev score
(`selection: last`, or no English dev set) is kept, because it cannot be compared.
"""

from collections.abc import Collection, Sequence

from stilts.identity.stage import SHORT, StageSpec
from stilts.plan.expand import Expansion
from stilts.plan.todo import Artifact, Inventory


def best_groups(expansion: Expansion) -> tuple[tuple[str, ...], ...]:
    """The groups of an experiment with `keep: best`, as the first `SHORT` digits of the stages' keys, in the order of
    the cells; no groups with another policy.
    """
    if expansion.experiment.runtime.keep != "best":
        return ()
    groups: dict[tuple[object, ...], dict[str, None]] = {}
    for cell in expansion.cells:
        for branch in cell.branches:
            node = expansion.graph.nodes[branch.chain[-1]]
            if isinstance(node.spec, StageSpec) and not node.children:
                languages = {ref.language for part in node.spec.parts for ref in part.train}
                group = groups.setdefault((cell.model, cell.target, *sorted(languages)), {})
                group[node.key[:SHORT]] = None
    return tuple(map(tuple, groups.values()))


def kept_weights(expansion: Expansion) -> int:
    """Number of stages, base models not counted, whose weights stay by `runtime.keep` when everything is done."""
    keep, stages = expansion.experiment.runtime.keep, expansion.graph.stages()
    if keep == "none":
        return 0
    return len(stages) if keep == "all" else sum(bool(n.children) for n in stages) + len(best_groups(expansion))


def kept_of(group: Sequence[str], inventory: Inventory) -> Collection[str]:
    """The stages of a group whose weights are needed now: the best so far, those without a score, and those that have
    yet to be trained.
    """
    found = [(key, inventory.get(key, Artifact(key))) for key in group]
    scores = {key: artifact.dev for key, artifact in found if artifact.trained and artifact.dev is not None}
    best = max(scores, key=lambda key: scores[key], default=None)  # the first of several equal ones
    return {key for key in group if key not in scores or key == best}


def kept_best(expansion: Expansion, inventory: Inventory) -> dict[str, bool]:
    """What `keep: best` keeps, by short key: one stage of each group, and whether its weights have to be made again.

    They are made again if all stages of the group are trained and the weights of the best are gone. While stages of the
    group are missing, nobody knows which will be the best, and the first of them stands for it.
    """
    kept: dict[str, bool] = {}
    for group in best_groups(expansion):
        found = [inventory.get(key, Artifact(key)) for key in group]
        missing = [key for key, artifact in zip(group, found, strict=True) if not artifact.trained]
        if missing:
            kept.setdefault(missing[0], False)
            continue
        needed = kept_of(group, inventory)
        kept |= {key: not artifact.weights for key, artifact in zip(group, found, strict=True) if key in needed}
    return kept
