"""Subject: the stage that a search tunes, and the experiment for each choice of values.

A choice of values becomes a patch of the experiment, as a user can apply one with `--with`. The patched experiment is
expanded like any other. Therefore the stages that a search trains have the same keys as those of an experiment that
uses the best recipe, and are reused there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from stilts.errors import Problems, StiltsError, counted, nearest
from stilts.experiment.experiment import NONE, Experiment
from stilts.experiment.mistakes import InvalidExperiment
from stilts.experiment.regimes import StageDecl
from stilts.experiment.search import LENGTHS, PROBABILITIES, Dimension, Search, Tuning
from stilts.identity.stage import StageSpec
from stilts.plan.expand import Branch, Expansion, expand
from stilts.plan.graph import Graph, Node
from stilts.plan.training import Data
from stilts.tasks.base import get_task

_MIXING = ("sampling", "cap", "temperature")


@dataclass(frozen=True)
class Configuration:
    """The experiment with one choice of values.

    Attributes:
        patch: the fields of the declared experiment that are changed.
        expansion: the chains up to the tuned stage, without evaluations.
        stages: keys of the tuned stage, one for each seed of the search.
    """

    patch: dict[str, Any]
    expansion: Expansion
    stages: tuple[str, ...]

    @property
    def specs(self) -> list[StageSpec]:
        """The tuned stage with each of the seeds."""
        specs = (self.expansion.graph.nodes[key].spec for key in self.stages)
        return [spec for spec in specs if isinstance(spec, StageSpec)]


class Subject:
    """What a search tunes: one stage of one chain of an experiment.

    Attributes:
        experiment: the declared experiment, reduced to the chain and the seeds of the search.

    Raises:
        StiltsError: the search names a model, regime or target that the experiment does not have.
    """

    def __init__(self, tuning: Tuning, data: Data) -> None:
        self.search: Search = tuning.search
        self._data = data
        self.experiment, self._regime = _cut_down(tuning)

    @cached_property
    def default(self) -> Configuration:
        """The configuration with the experiment's own recipe."""
        return self._expanded({})

    @property
    def metric(self) -> str:
        """Name of the dev score by which trials are compared."""
        tasks = [part.task for part in self.default.specs[0].parts if part.dev]
        return str(get_task(tasks[0]).metric) if len(tasks) == 1 else f"mean over {', '.join(tasks)}"

    @property
    def title(self) -> str:
        """The tuned stage in a few words, for titles."""
        model, what = next(iter(self.experiment.models)), self.search.target
        return f"{what or f'stage {self._index} of {self._regime}'} of {model}" + (
            f" after {self._regime}" if what and self._regime != NONE else ""
        )

    def configure(self, values: Mapping[str, Any]) -> Configuration:
        """Expand the experiment with the given values.

        Args:
            values: values by the names of `Space.dimensions`.

        Raises:
            StiltsError: the values are not valid together, or they change a stage before the tuned one.
        """
        try:
            found = self._expanded(self.patch(values))
        except Problems as problems:
            raise StiltsError("; ".join(problems.messages)) from None
        for spec, own in zip(found.specs, self.default.specs, strict=True):
            if spec.parent != own.parent:
                raise StiltsError(
                    f"the recipe of {spec.parts[0].task} is also that of a stage before the one that is tuned; give "
                    "that one a recipe of its own (intermediates: {NAME: [{task: ..., recipe: {...}}]})"
                )
        return found

    def own_values(self) -> dict[str, Any] | None:
        """The values of the experiment's own recipe; None if the search space does not contain them."""
        spec = self.default.specs[0]
        values = {**spec.parts[0].recipe.model_dump(), **spec.recipe.model_dump()}
        if spec.mixing is not None:
            values |= {name: getattr(spec.mixing, name) for name in _MIXING}
            values |= {f"{PROBABILITIES}.{task}": share for task, share in spec.mixing.probabilities.items()}
        dimensions = self.search.space.dimensions()
        held = all(name in values and dimension.holds(values[name]) for name, dimension in dimensions.items())
        return {name: values[name] for name in dimensions} if held else None

    def patch(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The patch that gives the experiment these values: in the task's recipe, or in the stage if it has its own."""
        stage = self._stage
        if stage is None or (stage.task is not None and not stage.recipe.model_dump()):
            return {"recipes": {self._task: dict(values)}}
        index = self._index
        stages = [decl.model_dump(mode="json", exclude_unset=True) for decl in self._stages]
        tuned = stages[index] = {**stages[index]}
        mix = {name: value for name, value in values.items() if name in _MIXING}
        shares = {n.partition(".")[2]: value for n, value in values.items() if n.startswith(PROBABILITIES)}
        recipe = {n: value for n, value in values.items() if n not in mix and not n.startswith(PROBABILITIES)}
        tuned["recipe"] = {**tuned.get("recipe", {}), **recipe}
        if stage.mix is not None:
            tasks = {
                task: {**part, **({"probability": shares[task]} if task in shares else {})}
                for task, part in tuned["mix"]["tasks"].items()
            }
            tuned["mix"] = {**tuned["mix"], **mix, "tasks": tasks}
        return {"intermediates": {self._regime: {"stages": stages}}}

    def check(self) -> None:
        """Check that the search can start. Each dimension of the space is tried at both of its ends.

        Raises:
            Problems: the search has mistakes. All of them are listed.
        """
        problems = [*self._unjudged(), *self._unknown(), *self._replaced()]
        if problems:
            raise Problems(problems)
        dimensions = self.search.space.dimensions()
        first = self.own_values() or {name: dimension.ends[0] for name, dimension in dimensions.items()}
        found = chain.from_iterable(self._wrong(name, dimension, first) for name, dimension in dimensions.items())
        if problems := list(dict.fromkeys(found)):
            raise Problems(problems)

    def _unjudged(self) -> Iterator[str]:
        spec = self.default.specs[0]
        if spec.recipe.selection != "best-dev":
            yield (
                "trials are compared by dev scores during training, but the recipe has selection: last; set recipe: "
                "{selection: best-dev}, and evaluate_every to the number of steps between evaluations"
            )
        elif not any(part.dev for part in spec.parts):
            tasks = ", ".join(part.task for part in spec.parts)
            yield f"{tasks}: there is no English dev set by which trials are compared"

    def _unknown(self) -> Iterator[str]:
        """Yield a problem for each dimension that only a mixture has, or whose task is not in the mixture."""
        parts = [part.task for part in self.default.specs[0].parts]
        for name in self.search.space.dimensions():
            field, _, task = name.partition(".")
            if (field in _MIXING or task) and len(parts) == 1:
                yield f"search.space.{name}: {parts[0]} is trained alone; only a mixture has this"
            elif task and task not in parts:
                yield f"search.space.{name}: {task!r} is not in the mixture; {nearest(task, parts)}"

    def _replaced(self) -> Iterator[str]:
        """Yield a problem for each tuned length that another length in the experiment replaces."""
        recipe = self.default.specs[0].recipe
        for name in self.search.space.dimensions():
            if name in LENGTHS:
                for other in LENGTHS[LENGTHS.index(name) + 1 :]:
                    if getattr(recipe, other) is not None:
                        yield (
                            f"search.space.{name}: the experiment gives {other}, which replaces it; remove that, or "
                            f"tune {other}"
                        )

    def _wrong(self, name: str, dimension: Dimension, others: Mapping[str, Any]) -> Iterator[str]:
        keys: set[tuple[str, ...]] = set()
        for value in dimension.ends:
            try:
                keys.add(self.configure({**others, name: value}).stages)
            except StiltsError as error:
                yield f"search.space.{name}: {value}: {error}"
                return
        if len(keys) < len(dimension.ends):
            yield f"search.space.{name}: it changes nothing; the experiment sets it in another place (a budget?)"

    # --- the chain ---------------------------------------------------------------------------------------

    @property
    def _stages(self) -> tuple[StageDecl, ...]:
        return self.experiment.intermediates[self._regime].stages

    @property
    def _index(self) -> int:
        return len(self._stages) - 1 if self.search.stage is None else self.search.stage

    @property
    def _stage(self) -> StageDecl | None:
        """The tuned stage as the experiment declares it; None if it is the stage of a target."""
        return self._stages[self._index] if self.search.target is None else None

    @property
    def _task(self) -> str:
        return self.default.specs[0].parts[0].task

    def _expanded(self, patch: Mapping[str, Any]) -> Configuration:
        declared = _laid_over(self.experiment.model_dump(mode="json"), patch)
        try:
            experiment = Experiment(**declared)
        except InvalidExperiment as error:
            raise StiltsError("; ".join(map(str, error.mistakes))) from None
        whole = expand(experiment, self._data)
        chains = [self._chain(cell.branches, whole.graph) for cell in whole.cells]
        graph = Graph()
        for node in chain.from_iterable(chains):
            graph.add(node.spec, node.slug)
        return Configuration(dict(patch), Expansion(experiment, [], graph), tuple(nodes[-1].key for nodes in chains))

    def _chain(self, branches: Sequence[Branch], graph: Graph) -> list[Node]:
        """The nodes of a chain up to the tuned one."""
        nodes = [graph.nodes[key] for key in branches[0].chain]
        pretrained = len(next(iter(self.experiment.models.values())).pretrain)
        before = 1 + pretrained + len(self._stages)
        if self.search.target is None:
            return nodes[: 1 + pretrained + self._index + 1]
        if len(branches) > 1:
            raise StiltsError(
                f"search.target: {self.search.target} is trained language by language; tune one that is trained once"
            )
        if len(nodes) == before:
            raise StiltsError(f"search.target: {self.search.target} trains nothing: it has no recipe to tune")
        return nodes


def _cut_down(tuning: Tuning) -> tuple[Experiment, str]:
    """Reduce an experiment to one model, one regime, one target and the search's seeds.

    Returns:
        The reduced experiment and the name of the regime.

    Raises:
        Problems: the search names a model, regime or target that the experiment does not have.
    """
    search, problems = tuning.search, []
    if search.model is None and len(tuning.models) > 1:
        problems.append(f"search.model: the experiment has several: {', '.join(tuning.models)}; name one")
    model, regime = search.model or next(iter(tuning.models)), search.intermediate or NONE
    regimes = {NONE, *tuning.intermediates}
    target = search.target or next(iter(tuning.targets))
    for field, name, there in (
        ("model", model, tuning.models),
        ("intermediate", regime, regimes),
        ("target", target, tuning.targets),
    ):
        if name not in there:
            problems.append(f"search.{field}: the experiment has no {name!r}; {nearest(name, there)}")
    if search.target is None and regime in tuning.intermediates:
        count = len(tuning.intermediates[regime].stages)
        if (search.stage or 0) >= count:
            problems.append(f"search.stage: {regime} has {counted(count, 'stage')}, counted from 0")
    if problems:
        raise Problems(problems)
    data = tuning.model_dump(mode="json", exclude={"search", "experiment"})
    data |= {
        "models": {model: data["models"][model]},
        "intermediates": {regime: data["intermediates"].get(regime, [])},
        "targets": {target: data["targets"][target]},
        "seeds": search.seeds or tuning.seeds[:1],
        "intermediate_seeds": "own",
        "noise": None,
    }
    return Experiment(**data), regime


def _laid_over(data: Any, patch: Any) -> Any:
    """Apply a JSON Merge Patch (RFC 7396) that removes nothing."""
    if not isinstance(data, dict) or not isinstance(patch, Mapping):
        return patch
    return {**data, **{name: _laid_over(data.get(name), value) for name, value in patch.items()}}
