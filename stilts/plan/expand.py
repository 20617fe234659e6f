"""Expand an experiment to cells, chains of stages, and one graph that merges equal stages. It only reads data files."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

from stilts.encoders.checkpoint_checks import checkpoint_problems
from stilts.encoders.checkpoint_files import checkpoint_digest
from stilts.encoders.config_checks import init_problems
from stilts.errors import Problems, StiltsError
from stilts.experiment.experiment import Experiment, TargetDecl
from stilts.experiment.models import ModelDecl
from stilts.experiment.regimes import RegimeDecl, StageDecl
from stilts.identity.stage import BaseSpec, DataRef, EvaluationSpec, StageSpec, Watched
from stilts.plan.budget import FREE, Allowance, allot
from stilts.plan.check_models import check_fit
from stilts.plan.claims import check_claims
from stilts.plan.evaluations import Evaluator
from stilts.plan.graph import Graph, Node
from stilts.plan.problems import Collector
from stilts.plan.training import MLM, Data, Trainer, Training
from stilts.tasks.base import get_task
from stilts.tasks.benchmarks import get_benchmark
from stilts.tasks.own import use

PRETRAIN_SEED = 0
_SLUG = 60
"""Maximum length of the part of a stage's name that comes from its base model."""
_NAMED = 3
"""A stage's name lists the tasks of its mixture up to this number; beyond it, the name gives their number (`mix5`)."""


@dataclass(frozen=True)
class Branch:
    """One chain of stages and the evaluations at its end.

    Attributes:
        chain: keys of its nodes, base model first.
        evaluations: the target's evaluations of the last node.
        selection: an evaluation of the last node on the dev set of the training task, by which a submission chooses
            among regimes; None if there is no such dev set.
    """

    chain: tuple[str, ...]
    evaluations: tuple[EvaluationSpec, ...]
    selection: EvaluationSpec | None = None


@dataclass(frozen=True)
class Cell:
    """One (model, intermediate, target, seed) combination.

    Attributes:
        target: name of the target in the experiment.
        task: name of the task that the target evaluates.
        seed: seed of the target stage.
        intermediate_seed: seed of the intermediate stages; None if each of them declares a seed of its own.
        branches: one branch, or one per language if the target is trained language by language.
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
        """Keys of all nodes that the cell needs."""
        return frozenset(key for branch in self.branches for key in branch.chain)


@dataclass
class Expansion:
    """All cells of an experiment and the graph that they share."""

    experiment: Experiment
    cells: list[Cell] = field(default_factory=list)
    graph: Graph = field(default_factory=Graph)
    left_out: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Languages that are left out because they have no data: (target, split) -> languages, in the order of the task."""

    def note(self, target: str, split: str, languages: Sequence[str]) -> None:
        """Record languages that a target leaves out because they have no data."""
        if languages:
            self.left_out[target, split] = tuple(languages)


def expand(experiment: Experiment, data: Data) -> Expansion:
    """Expand an experiment to its cells and their merged graph.

    Raises:
        Problems: the experiment has mistakes. All of them are listed: unknown tasks, languages and settings, and
            mistakes in the data files.
        StiltsError: the library of tasks has a mistake, or a file of tasks that the experiment names.
    """
    use(experiment.tasks)  # loads the library, too, so that a mistake is reported once and not for every task name
    return _Expander(experiment, data).expand()


@dataclass(frozen=True)
class _Ending:
    """How a target ends a chain.

    Attributes:
        where: place of the target in the experiment, for messages.
        slug: name of the ending in the names of stages.
        stage: the target stage; None for a target without training, such as retrieval.
        evaluations: the target's evaluations after that stage.
        selection: see `Branch.selection`.
        watched: the evaluations during the training of the stage.
    """

    where: str
    slug: str
    stage: StageDecl | None
    evaluations: tuple[EvaluationSpec, ...]
    selection: EvaluationSpec | None
    watched: tuple[Watched, ...] = ()

    @cached_property
    def wanted(self) -> dict[str, EvaluationSpec]:
        """Everything that is evaluated after the stage, by path."""
        specs = self.evaluations if self.selection is None else (*self.evaluations, self.selection)
        return {spec.path: spec for spec in specs}


class _Expander:
    """Expands one experiment. All mistakes are collected in `problems` and raised together."""

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
        if not self.problems.at("targets"):
            check_claims(self.experiment, specs, self.problems)
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

    # --- checks ------------------------------------------------------------------------------------------

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
        for name in self.experiment.data.tasks:
            self.problems.attempt(f"data.tasks.{name}", get_task, name, repeat=True)
        self.trainer.check_recipes(self.problems)
        self.problems.attempt("languages", self.evaluator.check_languages)
        self.evaluator.check_noise()
        self.evaluator.check_curves()
        self.evaluator.check_settings()

    def _check_stages(self) -> dict[str, list[Allowance]]:
        """Resolve every declared stage, so that all mistakes are found at once; return the budget shares by regime."""
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
                "no target has any: they need evaluations on dev during training (recipe: {selection: best-dev}), and "
                "labelled data in the languages and splits of the curves",
            )

    # --- targets -----------------------------------------------------------------------------------------

    def _endings(self, name: str, decl: TargetDecl, specs: tuple[EvaluationSpec, ...]) -> list[_Ending]:
        """One ending, or one per language if the target is trained language by language."""
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
        """Record the evaluated languages that are left out because they have no training set.

        With `languages: present`, any language without one is left out. Otherwise only those are for which the
        published data set has none, and any other missing training set is a mistake.

        Raises:
            StiltsError: a training set is missing; the message contains the path where it was expected.
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
        found = init_problems(decl.init.config, decl.init.tokenizer.vocab_size)
        problems = [f"init.config: {problem}" for problem in found]
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
        """Yield (seed of the intermediate stages, seed of the target stage) for each cell of a target."""
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
        """Add the intermediate stages of a regime to the graph; return the chain up to their end, and its name."""
        nodes = list(chain)
        for i, (stage, allowance) in enumerate(zip(stages, allowances, strict=True)):
            slug = f"{slug}-{_stage_slug(stage)}"
            nodes.append(self._add(nodes[-1], slug, f"intermediates.{name}.{i}", stage, seed, allowance))
        return nodes, slug

    def _branches(self, seed: int, nodes: Sequence[Node], slug: str, endings: Sequence[_Ending]) -> tuple[Branch, ...]:
        """Add the target stages of one cell to the graph; return its branches."""
        branches: list[Branch] = []
        used: dict[str, Node] = {}
        for ending in endings:
            chain = list(nodes)
            if ending.stage is not None:
                chain.append(self._add(nodes[-1], f"{slug}-{ending.slug}", ending.slug, ending.stage, seed))
                if isinstance(chain[-1].spec, StageSpec) and chain[-1].spec.selects:
                    chain[-1].watched |= {what.evaluation.path: what for what in ending.watched}
            done = self._in_recipes_precision(ending) if chain[-1].is_base else ending
            chain[-1].evaluations |= done.wanted
            used |= {node.key: node for node in chain}
            branches.append(Branch(tuple(node.key for node in chain), done.evaluations, done.selection))
        for node in used.values():
            node.uses += 1
        return tuple(branches)

    def _in_recipes_precision(self, ending: _Ending) -> _Ending:
        """Give evaluations of a base model the precision of the task's recipe, so that they can be compared with those
        of the stages trained in that precision."""
        specs = (
            replace(spec, settings={**spec.settings, "precision": self.trainer.precision(spec.task)})
            for spec in ending.evaluations
        )
        return replace(ending, evaluations=tuple(specs))


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
