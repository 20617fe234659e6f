"""Expand: experiment -> cells -> chains -> one graph. Pure but for reading data files through the catalog."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from stilts.encoders.checkpoint_checks import checkpoint_problems
from stilts.encoders.checkpoint_files import checkpoint_digest
from stilts.encoders.config_checks import init_problems
from stilts.errors import Problems, StiltsError
from stilts.experiment.experiment import Experiment, ModelDecl, RegimeDecl, StageDecl, TargetDecl
from stilts.identity.stage import BaseSpec, DataRef, EvaluationSpec, StageSpec, Watched
from stilts.plan.budget import FREE, Allowance, allot
from stilts.plan.check_models import check_fit
from stilts.plan.evaluations import Evaluator
from stilts.plan.graph import Graph, Node
from stilts.plan.problems import Collector
from stilts.plan.training import MLM, Data, Trainer, Training
from stilts.tasks.base import all_tasks, get_task
from stilts.tasks.benchmarks import get_benchmark

PRETRAIN_SEED = 0
_SLUG = 60
"""Longest part of a name that comes from a model's."""
_NAMED = 3
"""Tasks of a mixture that a stage's name lists; of more it has the number."""


@dataclass(frozen=True)
class Branch:
    """A chain and what is evaluated at its end.

    Attributes:
        chain: keys of its nodes, base model first.
        evaluations: all on the last node.
        selection: the training task's dev set on the same node, by which a submission chooses regimes.
    """

    chain: tuple[str, ...]
    evaluations: tuple[EvaluationSpec, ...]
    selection: EvaluationSpec | None = None


@dataclass(frozen=True)
class Cell:
    """One (model, intermediate, target, seed) combination.

    Attributes:
        target: its name in the experiment; `task`: what is evaluated.
        intermediate_seed: of its intermediate stages; None where none of them takes a cell's seed.
        branches: one; where the target is trained language by language, one for each language.
    """

    model: str
    intermediate: str
    target: str
    task: str
    seed: int
    intermediate_seed: int | None
    branches: tuple[Branch, ...]

    @property
    def stages(self) -> frozenset[str]:
        """Keys of every node that it needs."""
        return frozenset(key for branch in self.branches for key in branch.chain)


@dataclass
class Expansion:
    """Every cell of an experiment and the graph they share."""

    experiment: Experiment
    cells: list[Cell] = field(default_factory=list)
    graph: Graph = field(default_factory=Graph)
    left_out: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Languages of a target that have no data in a split: (target, split) -> languages, in the order of the task."""

    def note(self, target: str, split: str, languages: Sequence[str]) -> None:
        """Note languages that a target is without."""
        if languages:
            self.left_out[target, split] = tuple(languages)


def expand(experiment: Experiment, data: Data) -> Expansion:
    """Expand an experiment to its cells and their merged graph.

    Raises:
        Problems: every unknown task, language or setting, and every mistake in the data files.
        StiltsError: a mistake in the library of tasks.
    """
    all_tasks()  # a mistake in the library is said once, not at every name that is looked up in it
    return _Expander(experiment, data).expand()


@dataclass(frozen=True)
class _Ending:
    """How a target ends a chain: a stage (none for retrieval), what it is scored on while it trains, what is evaluated
    after it, and its selection."""

    where: str
    slug: str
    stage: StageDecl | None
    evaluations: tuple[EvaluationSpec, ...]
    selection: EvaluationSpec | None
    watched: tuple[Watched, ...] = ()


class _Expander:
    def __init__(self, experiment: Experiment, data: Data) -> None:
        self.experiment = experiment
        self.problems = Collector()
        generate = experiment.data.generate
        invented = [f"q{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(generate.languages)] if generate else []

        @cache
        def ref(task: str, split: str, language: str) -> DataRef:
            return data.ref(get_task(task), split, language)

        self.trainer = Trainer(experiment, data, ref, invented)
        self.evaluator = Evaluator(experiment, data, ref, invented, self.problems)
        self.out = Expansion(experiment)

    def expand(self) -> Expansion:
        self._check_names()
        specs = {name: self.evaluator.target(name, decl) for name, decl in self.experiment.targets.items()}
        for (name, split), languages in self.evaluator.left_out.items():
            self.out.note(name, split, languages)
        models = self.experiment.models
        bases = {name: self.problems.attempt(f"models.{name}", self._base, decl) for name, decl in models.items()}
        allowances = self._check_stages()
        endings = {
            name: self.problems.attempt(f"targets.{name}", self._endings, name, decl, specs[name]) or []
            for name, decl in self.experiment.targets.items()
        }
        self._check_endings(endings)
        self.problems.close()
        for model, decl in models.items():
            base = bases[model]
            assert base is not None
            self._model_cells(model, decl, base, allowances, endings)
        check_fit(self.out.graph, self.experiment.runtime)
        return self.out

    # --- what can be wrong -------------------------------------------------------------------------------

    def _declared_stages(self) -> Iterator[tuple[str, StageDecl]]:
        for name, model in self.experiment.models.items():
            for i, stage in enumerate(model.pretrain):
                yield f"models.{name}.pretrain.{i}", stage
        for name, regime in self.experiment.intermediates.items():
            for i, stage in enumerate(regime.stages):
                yield f"intermediates.{name}.{i}", stage

    def _check_names(self) -> None:
        if self.problems.attempt("benchmark", get_benchmark, self.experiment.benchmark) is None:
            self.problems.close()
        for where, stage in self._declared_stages():
            for name in _tasks(stage):
                place = f"{where}.task" if stage.task else f"{where}.mix.tasks.{name}"
                task = self.problems.attempt(place, get_task, name, repeat=True)
                if task is not None and task.train_on != task.name:
                    hint = f"; it trains on {task.train_on!r}" if task.train_on else ""
                    self.problems.add(place, f"{task.name} has no training data of its own{hint}")
        for section, names in (("recipes", self.experiment.recipes), ("data.tasks", self.experiment.data.tasks)):
            for name in names:
                self.problems.attempt(f"{section}.{name}", get_task, name, repeat=True)
        self.problems.attempt("languages", self.evaluator.check_languages)
        self.evaluator.check_noise()
        self.evaluator.check_curves()
        self.evaluator.check_settings()

    def _check_stages(self) -> dict[str, list[Allowance]]:
        """Resolve every declared stage, so that all mistakes come at once; the budgets' shares by regime."""
        for where, stage in self._declared_stages():
            if not self.problems.at(f"{where}.task") and not self.problems.at(f"{where}.mix"):
                self.problems.attempt(where, self.trainer.stage, "", where, stage, 0)
        if self.problems.messages:
            return {}
        regimes = self.experiment.intermediates.items()
        found = {name: self.problems.attempt(f"intermediates.{name}", self._allowances, name, r) for name, r in regimes}
        allowances = {name: allowed or [] for name, allowed in found.items()}
        if not self.problems.messages:
            self._check_steps(allowances)
        return allowances

    def _check_steps(self, allowances: dict[str, list[Allowance]]) -> None:
        given = {f"intermediates.{name}.{i}": a for name, found in allowances.items() for i, a in enumerate(found)}
        for where, stage in self._declared_stages():
            self.problems.attempt(where, self.trainer.check_steps, where, stage, given.get(where, FREE))

    def _allowances(self, name: str, regime: RegimeDecl) -> list[Allowance]:
        if regime.budget is None:
            return [FREE] * len(regime.stages)
        places = enumerate(regime.stages)
        parts = [self.trainer.stage("", f"intermediates.{name}.{i}", stage, 0).parts for i, stage in places]
        return allot(regime.budget, regime.stages, parts)

    def _check_endings(self, endings: dict[str, list[_Ending]]) -> None:
        watched = False
        for found in endings.values():
            for ending in found:
                if ending.stage is not None:
                    spec = self.problems.attempt(ending.where, self.trainer.stage, "", ending.slug, ending.stage, 0)
                    watched |= spec is not None and spec.selects and bool(ending.watched)
        if self.experiment.curves is not None and not watched and not self.problems.messages:
            self.problems.add(
                "curves",
                "no target has any: its stage must be evaluated on dev (recipe: {selection: best-dev}), and the task "
                "have labelled files in the languages and splits of the curves",
            )

    # --- targets -----------------------------------------------------------------------------------------

    def _endings(self, name: str, decl: TargetDecl, specs: tuple[EvaluationSpec, ...]) -> list[_Ending]:
        """One, or one for each language where the target is trained language by language."""
        where, trained = f"targets.{name}", get_task(decl.task or name).train_on
        if trained is None:
            if decl.setting != "zero-shot":
                raise StiltsError(f"setting: {decl.task or name} has nothing to train")
            return [_Ending(where, "", None, specs, None)]
        selection, watched = self.evaluator.selection(trained), self.evaluator.watched(name, decl)
        if decl.setting == "zero-shot":
            return [_Ending(where, trained, StageDecl(task=trained), specs, selection, watched)]
        training: Training = "translated" if decl.setting.startswith("translate") else "in-language"
        if decl.setting.endswith("-all"):
            known = self.trainer.languages(get_task(trained), training)
            lacking = [language for language in dict.fromkeys(spec.language for spec in specs) if language not in known]
            self.out.note(name, "train", lacking)
            stage = StageDecl(task=trained, training=training)
            return [_Ending(where, f"{trained}.{decl.setting}", stage, specs, selection, watched)]
        there = self.trainer.languages(get_task(trained), training)
        by_language = {lang: tuple(s for s in specs if s.language == lang) for lang in there}
        self._leave_out(name, decl, trained, training, list(dict.fromkeys(spec.language for spec in specs)))
        endings = []
        for language, wanted in by_language.items():
            if not wanted:
                continue
            stage = StageDecl(task=trained, training=training, languages=(language,))
            own = self.evaluator.selection(trained, language) if training == "in-language" else selection
            endings.append(_Ending(where, f"{trained}.{training}-{language}", stage, wanted, own))
        if not endings:
            raise StiltsError(f"setting {decl.setting}: no evaluated language has a training set of its own (data:)")
        return endings

    def _leave_out(self, name: str, decl: TargetDecl, trained: str, training: Training, languages: list[str]) -> None:
        """Note the evaluated languages that have no training set of their own, where the experiment lets them go.

        Under `languages: present` any may lack it; otherwise those alone for which the published data has none.

        Raises:
            StiltsError: a training set is missing; the message has the path that was looked for.
        """
        task = get_task(trained)
        lacking = self.trainer.lacking(task, training, languages)
        wanted = self.experiment.languages if decl.languages is None else decl.languages
        published = () if isinstance(decl.languages, tuple) else self.trainer.unpublished(task, training, lacking)
        missing = [] if wanted == "present" else [language for language in lacking if language not in published]
        if missing:
            reason = self.trainer.reason(task, training, missing[0])
            raise StiltsError(
                f"setting {decl.setting}: no {training} training set of {trained} in {', '.join(missing)} ({reason}); "
                "languages: present leaves out languages without one"
            )
        self.out.note(name, "train", lacking)

    # --- the graph ---------------------------------------------------------------------------------------

    def _base(self, decl: ModelDecl) -> BaseSpec:
        if decl.hub is not None:
            return BaseSpec({"hub": decl.hub, "revision": decl.revision}, shape=decl.shape)
        if decl.path is not None:
            folder = Path(decl.path).expanduser().resolve()
            problems = checkpoint_problems(folder)
            if problems:
                raise Problems(problems)
            return BaseSpec({"files": checkpoint_digest(folder)}, source=str(folder))
        assert decl.init is not None
        problems = [f"init.config: {problem}" for problem in init_problems(decl.init.config)]
        if problems:
            raise Problems(problems)
        text, _ = self.trainer.training_data(MLM, "english", None, "last")
        init = {**decl.init.model_dump(), "text": [ref.identity for ref in text]}
        return BaseSpec({"init": init}, text=text)

    def _add(
        self, parent: Node, slug: str, where: str, stage: StageDecl, seed: int, allowance: Allowance = FREE
    ) -> Node:
        spec = self.trainer.stage(parent.key, where, stage, seed, allowance)
        return self.out.graph.add(spec, f"{slug}-s{spec.recipe.seed}")

    def _model_cells(
        self,
        model: str,
        decl: ModelDecl,
        base: BaseSpec,
        allowances: dict[str, list[Allowance]],
        endings: dict[str, list[_Ending]],
    ) -> None:
        slug = _base_slug(decl)
        chain = [self.out.graph.add(base, slug)]
        for i, stage in enumerate(decl.pretrain):
            slug = f"{slug}-{_stage_slug(stage)}"
            chain.append(self._add(chain[-1], slug, f"models.{model}.pretrain.{i}", stage, PRETRAIN_SEED))
        for name, regime in self.experiment.intermediates.items():
            for first, seed in self._seeds(regime):
                own = seed if first is None else first
                nodes, end = self._regime(name, regime.stages, own, chain, slug, allowances[name])
                for target, found in endings.items():
                    branches = self._branches(seed, nodes, end, found)
                    task = self.experiment.targets[target].task or target
                    self.out.cells.append(Cell(model, name, target, task, seed, first, branches))

    def _seeds(self, regime: RegimeDecl) -> Iterator[tuple[int | None, int]]:
        """(seed of the intermediate stages, seed of the target stage) of each cell of a target."""
        seeds, how = self.experiment.seeds, self.experiment.intermediate_seeds
        vary = any(stage.seed is None for stage in regime.stages)
        for seed in seeds:
            firsts = {"own": (seed,), "shared": seeds[:1], "crossed": seeds}[how] if vary else (None,)
            yield from ((first, seed) for first in firsts)

    def _regime(
        self,
        name: str,
        stages: Sequence[StageDecl],
        seed: int,
        chain: Sequence[Node],
        slug: str,
        allowances: Sequence[Allowance],
    ) -> tuple[list[Node], str]:
        """The chain up to the end of the intermediate stages, and its name."""
        nodes = list(chain)
        for i, (stage, allowance) in enumerate(zip(stages, allowances, strict=True)):
            slug = f"{slug}-{_stage_slug(stage)}"
            nodes.append(self._add(nodes[-1], slug, f"intermediates.{name}.{i}", stage, seed, allowance))
        return nodes, slug

    def _branches(self, seed: int, nodes: Sequence[Node], slug: str, endings: Sequence[_Ending]) -> tuple[Branch, ...]:
        """The chains of one cell, put into the graph."""
        branches: list[Branch] = []
        used: dict[str, Node] = {}
        for ending in endings:
            chain = list(nodes)
            if ending.stage is not None:
                chain.append(self._add(nodes[-1], f"{slug}-{ending.slug}", ending.slug, ending.stage, seed))
                if isinstance(chain[-1].spec, StageSpec) and chain[-1].spec.selects:
                    chain[-1].watched |= {what.evaluation.path: what for what in ending.watched}
            evaluations = ending.evaluations
            if chain[-1].is_base:
                evaluations = tuple(map(self._in_recipes_precision, evaluations))
            wanted = evaluations if ending.selection is None else (*evaluations, ending.selection)
            chain[-1].evaluations |= {spec.path: spec for spec in wanted}
            used |= {node.key: node for node in chain}
            branches.append(Branch(tuple(node.key for node in chain), evaluations, ending.selection))
        for node in used.values():
            node.uses += 1
        return tuple(branches)

    def _in_recipes_precision(self, spec: EvaluationSpec) -> EvaluationSpec:
        """The evaluation of a base model, in the precision in which the stages that it is compared with compute."""
        return replace(spec, settings={**spec.settings, "precision": self.trainer.precision(spec.task)})


def _tasks(stage: StageDecl) -> list[str]:
    return [stage.task] if stage.task is not None else list(stage.mix.tasks) if stage.mix is not None else []


def _stage_slug(stage: StageDecl) -> str:
    names = sorted(_tasks(stage))
    slug = ".".join(names) if len(names) <= _NAMED else f"mix{len(names)}"
    return slug if stage.training == "english" else f"{slug}.{stage.training}"


def _base_slug(decl: ModelDecl) -> str:
    if decl.init is not None:
        name = str(decl.init.config.get("model_type", "xlm-roberta"))
    elif decl.hub is not None:
        name = Path(decl.hub).name
    else:
        name = Path(str(decl.path)).expanduser().resolve().name
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.")[:_SLUG] or "model"
