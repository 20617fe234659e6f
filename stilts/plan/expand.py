"""Expand: experiment -> cells -> chains -> one graph. Pure but for reading data files through the catalog."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from stilts.data.checkpoint_files import checkpoint_digest, local_checkpoint_problems
from stilts.errors import Problems, StiltsError, nearest
from stilts.plan.graph import Graph, Node
from stilts.spec.experiment import Experiment, ModelDecl, StageDecl, TargetDecl
from stilts.spec.recipe import Recipe
from stilts.spec.stage import BaseSpec, DataRef, EvaluationSpec, StageSpec
from stilts.tasks.base import Task, get_task, private_language

MLM = "mlm"
PRETRAIN_SEED = 0

T = TypeVar("T")


class Data(Protocol):
    """What expansion asks of `data.prepare.Catalog`."""

    def has(self, task: Task, split: str, language: str) -> bool: ...

    def ref(self, task: Task, split: str, language: str) -> DataRef: ...


@dataclass(frozen=True)
class Cell:
    """One (model, intermediate, target, seed) combination.

    Attributes:
        chain: keys of its nodes, base model first.
        evaluations: what its result consists of, all on the last node of the chain.
        selection: the training task's English dev set on the same node, by which a submission chooses regimes.
    """

    model: str
    intermediate: str
    target: str
    seed: int
    chain: tuple[str, ...]
    evaluations: tuple[EvaluationSpec, ...]
    selection: EvaluationSpec | None = None


@dataclass
class Expansion:
    """Every cell of an experiment and the graph they share."""

    experiment: Experiment
    cells: list[Cell] = field(default_factory=list)
    graph: Graph = field(default_factory=Graph)


def expand(experiment: Experiment, data: Data) -> Expansion:
    """Expand an experiment to its cells and their merged graph.

    Raises:
        Problems: every unknown task, language or setting, and every mistake in the data files.
    """
    return _Expander(experiment, data).expand()


class _Expander:
    def __init__(self, experiment: Experiment, data: Data) -> None:
        self.experiment = experiment
        self.data = data
        self.problems: list[str] = []
        self.out = Expansion(experiment)
        self.ref = cache(self._ref)
        self.recipe = cache(self._recipe)
        self.training_data = cache(self._training_data)
        self.selection = cache(self._selection)

    def expand(self) -> Expansion:
        self._check_names()
        evaluations = {name: self._evaluations(name, decl) for name, decl in self.experiment.targets.items()}
        bases = {name: self._attempt(f"models.{name}", self._base, name, decl) for name, decl in self._models()}
        self._check_training()
        if self.problems:
            raise Problems(list(dict.fromkeys(self.problems)))
        for model, decl in self._models():
            base = bases[model]
            assert base is not None
            self._model_cells(model, decl, base, {name: found or () for name, found in evaluations.items()})
        return self.out

    def _models(self) -> Iterable[tuple[str, ModelDecl]]:
        return self.experiment.models.items()

    # --- what can be wrong -------------------------------------------------------------------------------

    def _attempt(self, where: str, function: Callable[..., T], *args: Any) -> T | None:
        try:
            return function(*args)
        except Problems as error:
            self.problems += [f"{where}: {message}" for message in error.messages]
        except StiltsError as error:
            self.problems.append(f"{where}: {error}")
        return None

    def _check_names(self) -> None:
        for where, stage in self._declared_stages():
            task = self._attempt(f"{where}.task", get_task, stage.task)
            if task is not None and task.train_on != task.name:
                hint = f"; it trains on {task.train_on!r}" if task.train_on else ""
                self.problems.append(f"{where}.task: {task.name} has no training data of its own{hint}")
        for section, names in (("targets", self.experiment.targets), ("recipes", self.experiment.recipes)):
            for name in names:
                self._attempt(f"{section}.{name}", get_task, name)
        for name in self.experiment.data.tasks:
            self._attempt(f"data.tasks.{name}", get_task, name)

    def _declared_stages(self) -> Iterable[tuple[str, StageDecl]]:
        for name, model in self._models():
            for i, stage in enumerate(model.pretrain):
                yield f"models.{name}.pretrain.{i}", stage
        for name, stages in self.experiment.intermediates.items():
            for i, stage in enumerate(stages):
                yield f"intermediates.{name}.{i}", stage

    def _check_training(self) -> None:
        """Recipes and training data of every stage, so that all mistakes come at once."""
        stages = list(self._declared_stages())
        for name in self.experiment.targets:
            task = self._attempt(f"targets.{name}", get_task, name)
            if task is not None and task.train_on is not None:
                stages.append((f"targets.{name}", StageDecl(task=task.train_on)))
        for where, stage in stages:
            if any(problem.startswith(f"{where}.task") for problem in self.problems):
                continue
            recipe = self._attempt(where, self._recipe_of, stage, 0)
            if recipe is not None:
                self._attempt(where, self.training_data, stage.task, recipe.selection)

    # --- data --------------------------------------------------------------------------------------------

    def _ref(self, task: str, split: str, language: str) -> DataRef:
        return self.data.ref(get_task(task), split, language)

    def _training_data(self, name: str, selection: str) -> tuple[tuple[DataRef, ...], DataRef | None]:
        task = get_task(name)
        if task.family != MLM:
            train: tuple[DataRef, ...] = (self.ref(name, "train", "en"),)
            return train, self.ref(name, "dev", "en") if selection == "best-dev" else None
        languages = [lang for lang in self._languages(task, None, "train")]
        return tuple(self.ref(name, "train", language) for language in languages), None

    def _languages(self, task: Task, decl: TargetDecl | None, split: str) -> list[str]:
        wanted = decl.languages if decl is not None and decl.languages is not None else self.experiment.languages
        if isinstance(wanted, tuple):
            chosen = [lang for lang in wanted if lang in task.languages or private_language(lang)]
            if decl is not None and decl.languages is not None:
                self._refuse_unknown(task, wanted)
            return chosen
        known = [*task.languages, *self._generated_languages()]
        if wanted == "all" and not self._generated_languages():
            return known
        return [language for language in known if self.data.has(task, split, language)]

    def _generated_languages(self) -> list[str]:
        generate = self.experiment.data.generate
        return [f"q{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(generate.languages)] if generate else []

    def _refuse_unknown(self, task: Task, languages: Sequence[str]) -> None:
        for language in languages:
            if language not in task.languages and not private_language(language):
                raise StiltsError(f"{task.name} has no language {language!r}; {nearest(language, task.languages)}")

    # --- evaluations -------------------------------------------------------------------------------------

    def _evaluations(self, name: str, decl: TargetDecl) -> tuple[EvaluationSpec, ...] | None:
        where = f"targets.{name}"
        task = self._attempt(where, get_task, name)
        if task is None:
            return None
        unknown = [key for key in decl.settings if key not in task.settings]
        self.problems += [f"{where}.settings.{key}: unknown; {nearest(key, task.settings)}" for key in unknown]
        specs: list[EvaluationSpec] = []
        for split in self.experiment.splits:
            if split not in task.splits:
                continue
            languages = self._attempt(where, self._languages, task, decl, split)
            if languages == [] and split == task.splits[-1]:
                self.problems.append(f"{where}: no file of any of its languages in split {split}; look at data:")
            for language in languages or ():
                spec = self._attempt(where, self._evaluation, task, decl, split, language)
                if spec is not None:
                    specs.append(spec)
        return tuple(specs)

    def _evaluation(self, task: Task, decl: TargetDecl, split: str, language: str) -> EvaluationSpec:
        tuned = task.family == "retrieval" and "dev" in task.splits and split != "dev"
        return EvaluationSpec(
            task=task.name,
            task_version=task.version,
            split=split,
            language=language,
            data=self.ref(task.name, split, language),
            tune=self.ref(task.name, "dev", language) if tuned else None,
            settings={**task.settings, **decl.settings},
        )

    def _selection(self, name: str | None) -> EvaluationSpec | None:
        task = None if name is None else get_task(name)
        if task is None or not self.data.has(task, "dev", "en"):
            return None
        return self._evaluation(task, self.experiment.targets.get(task.name, TargetDecl()), "dev", "en")

    # --- stages ------------------------------------------------------------------------------------------

    def _base(self, name: str, decl: ModelDecl) -> BaseSpec:
        if decl.hub is not None:
            return BaseSpec({"hub": decl.hub, "revision": decl.revision})
        if decl.path is not None:
            folder = Path(decl.path).expanduser().resolve()
            problems = local_checkpoint_problems(folder)
            if problems:
                raise Problems(problems)
            return BaseSpec({"files": checkpoint_digest(folder)}, source=str(folder))
        assert decl.init is not None
        text, _ = self.training_data(MLM, "last")
        init = {**decl.init.model_dump(), "text": [ref.identity for ref in text]}
        return BaseSpec({"init": init}, text=text)

    def _recipe_of(self, stage: StageDecl, seed: int) -> Recipe:
        fields = stage.recipe.model_dump()
        return self.recipe(stage.task, tuple(sorted(fields.items())), stage.seed if stage.seed is not None else seed)

    def _recipe(self, task: str, fields: tuple[tuple[str, Any], ...], seed: int) -> Recipe:
        declared = [self.experiment.recipe, self.experiment.recipes.get(task)]
        values = dict(get_task(task).recipe)
        for layer in declared:
            values |= layer.model_dump() if layer is not None else {}
        try:
            return Recipe(**{**values, **dict(fields), "seed": seed})
        except ValueError as error:
            raise StiltsError(f"recipe of {task}: {_reason(error)}") from None

    def _stage(self, parent: Node, slug: str, stage: StageDecl, seed: int) -> Node:
        recipe = self._recipe_of(stage, seed)
        task = get_task(stage.task)
        train, dev = self.training_data(stage.task, recipe.selection)
        spec = StageSpec(parent.key, task.name, task.version, train, dev, recipe)
        return self.out.graph.add(spec, f"{slug}-s{recipe.seed}")

    def _model_cells(
        self, model: str, decl: ModelDecl, base: BaseSpec, evaluations: dict[str, tuple[EvaluationSpec, ...]]
    ) -> None:
        slug = _base_slug(decl)
        chain = [self.out.graph.add(base, slug)]
        for stage in decl.pretrain:
            slug = f"{slug}-{stage.task}"
            chain.append(self._stage(chain[-1], slug, stage, PRETRAIN_SEED))
        for regime, stages in self.experiment.intermediates.items():
            for seed in self.experiment.seeds:
                self._regime_cells(model, regime, stages, seed, chain, slug, evaluations)

    def _regime_cells(
        self,
        model: str,
        regime: str,
        stages: Sequence[StageDecl],
        seed: int,
        chain: list[Node],
        slug: str,
        evaluations: dict[str, tuple[EvaluationSpec, ...]],
    ) -> None:
        shared = self.experiment.share_intermediate_seeds
        chain = list(chain)
        for stage in stages:
            slug = f"{slug}-{stage.task}"
            chain.append(self._stage(chain[-1], slug, stage, self.experiment.seeds[0] if shared else seed))
        for target, specs in evaluations.items():
            trained = get_task(target).train_on
            nodes = chain
            if trained is not None:
                nodes = [*chain, self._stage(chain[-1], f"{slug}-{trained}", StageDecl(task=trained), seed)]
            for node in nodes:
                node.uses += 1
            selection = self.selection(trained)
            wanted = specs if selection is None else (*specs, selection)
            nodes[-1].evaluations |= {spec.path: spec for spec in wanted}
            keys = tuple(node.key for node in nodes)
            self.out.cells.append(Cell(model, regime, target, seed, keys, specs, selection))


def _base_slug(decl: ModelDecl) -> str:
    if decl.init is not None:
        return str(decl.init.config.get("model_type", "xlm-roberta"))
    return Path(decl.hub or decl.path or "").name.lower()


def _reason(error: ValueError) -> str:
    details = getattr(error, "errors", None)
    if details is None:
        return str(error)
    return "; ".join(f"{'.'.join(map(str, d['loc']))}: {d['msg']}".removeprefix(": ") for d in details())
