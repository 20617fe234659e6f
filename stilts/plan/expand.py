"""Expand: experiment -> cells -> chains -> one graph. Pure but for reading data files through the catalog."""

import re
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
from stilts.tasks.base import Task, all_tasks, get_task, private_language

MLM = "mlm"
PRETRAIN_SEED = 0
_SLUG = 60
"""Longest part of a name that comes from a model's."""

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
        self.said: set[str] = set()
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
        except StiltsError as error:
            messages = error.messages if isinstance(error, Problems) else [str(error)]
            # A name may be wrong in several places; a mistake in the data, met again by other stages, is one mistake.
            self.problems += [f"{where}: {m}" for m in messages if function is get_task or m not in self.said]
            self.said.update(messages)
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
        self._attempt("languages", self._check_languages)

    def _check_languages(self) -> None:
        """A language for all targets must be one of at least one of them."""
        if isinstance(self.experiment.languages, tuple):
            tasks = [task for name in self.experiment.targets if (task := all_tasks().get(name))]
            known = list(dict.fromkeys(language for task in tasks for language in task.languages))
            _refuse_unknown("the experiment", known, self.experiment.languages)

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
        return tuple(self.ref(name, "train", language) for language in self._text_languages(task)), None

    def _text_languages(self, task: Task) -> list[str]:
        """Every language whose text is there: what is evaluated must not change what is trained."""
        named = self.experiment.languages if isinstance(self.experiment.languages, tuple) else ()
        invented = [language for language in named if private_language(language)]
        known = dict.fromkeys([*task.languages, *self._generated_languages(), *invented])
        found = [language for language in known if self.data.has(task, "train", language)]
        return found or ["en"]  # of which the catalog then says why it is not there

    def _languages(self, task: Task, decl: TargetDecl, split: str) -> list[str]:
        wanted = self.experiment.languages if decl.languages is None else decl.languages
        if isinstance(wanted, tuple):
            if decl.languages is not None:
                _refuse_unknown(task.name, task.languages, wanted)
            return [language for language in wanted if language in task.languages or private_language(language)]
        lacking = task.hub.without.get(split, ()) if task.hub is not None else ()
        known = [*(lang for lang in task.languages if lang not in lacking), *self._generated_languages()]
        if wanted == "all" and not self._generated_languages():
            return known
        return [language for language in known if self.data.has(task, split, language)]

    def _generated_languages(self) -> list[str]:
        generate = self.experiment.data.generate
        return [f"q{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(generate.languages)] if generate else []

    # --- evaluations -------------------------------------------------------------------------------------

    def _evaluations(self, name: str, decl: TargetDecl) -> tuple[EvaluationSpec, ...] | None:
        where = f"targets.{name}"
        task = self._attempt(where, get_task, name)
        if task is None:
            return None
        self._check_settings(where, task, decl)
        splits = [split for split in self.experiment.splits if split in task.splits]
        if not splits:
            wanted, there = " or ".join(self.experiment.splits), " and ".join(task.splits) or "nothing to evaluate"
            self.problems.append(f"{where}: it has no {wanted} split; it has {there} (splits:)")
            return None
        before = len(self.problems)
        specs: list[EvaluationSpec] = []
        for split in splits:
            for language in self._attempt(where, self._languages, task, decl, split) or ():
                spec = self._attempt(where, self._evaluation, task, decl, split, language)
                if spec is not None:
                    specs.append(spec)
        if not specs and len(self.problems) == before:
            self.problems.append(f"{where}: none of its languages is wanted and has a file (languages:, data:)")
        return tuple(specs)

    def _check_settings(self, where: str, task: Task, decl: TargetDecl) -> None:
        for name, value in decl.settings.items():
            default = task.settings.get(name)
            if default is None:
                self.problems.append(f"{where}.settings.{name}: unknown; {nearest(name, task.settings)}")
            elif type(value) is not type(default):
                self.problems.append(f"{where}.settings.{name}: {value!r} is not like its default, {default!r}")

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
        name = str(decl.init.config.get("model_type", "xlm-roberta"))
    elif decl.hub is not None:
        name = Path(decl.hub).name
    else:
        name = Path(str(decl.path)).expanduser().resolve().name
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.")[:_SLUG] or "model"


def _refuse_unknown(who: str, known: Sequence[str], languages: Sequence[str]) -> None:
    unknown = [language for language in languages if language not in known and not private_language(language)]
    if unknown:
        raise Problems([f"{who} has no language {name!r}; {nearest(name, known)}" for name in unknown])


def _reason(error: ValueError) -> str:
    details = getattr(error, "errors", None)
    if details is None:
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, d['loc']))}: {d['msg'].removeprefix('Value error, ')}".removeprefix(": ")
        for d in details()
    )
