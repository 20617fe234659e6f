"""Evaluations: resolve each target to the splits, languages and noise conditions on which it is evaluated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stilts.data.noise import noise_problems
from stilts.data.prepare import CANDIDATES, EVERY
from stilts.errors import Problems, StiltsError, nearest
from stilts.experiment.experiment import Experiment, TargetDecl
from stilts.identity.stage import Condition, DataRef, EvaluationSpec, Watched
from stilts.plan.problems import Collector
from stilts.plan.training import Data, unpublished
from stilts.tasks.base import Task, all_tasks, get_task, private_language
from stilts.tasks.benchmarks import get_benchmark
from stilts.tasks.families import Procedure, get_family
from stilts.tasks.settings import combination_problem, known_settings, recorded_settings, setting_problem

ENGLISH = "en"

LENGTH_FIELDS = ("max_length", "stride", "max_query_length")
"""Fields that recipes (training) and settings (evaluation) have in common."""


@dataclass(frozen=True)
class Evaluator:
    """Resolves the targets of one experiment.

    Attributes:
        ref: returns the data of a task, by its name, in a split and a language.
        invented: languages of the generated corpus.
        problems: collects the mistakes of the targets.
        left_out: languages that the experiment allows to be left out because they have no data:
            (target, split) -> languages.
    """

    experiment: Experiment
    data: Data
    ref: Callable[[str, str, str], DataRef]
    invented: Sequence[str]
    problems: Collector
    left_out: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def target(self, name: str, decl: TargetDecl) -> tuple[EvaluationSpec, ...]:
        """The evaluations of a target; empty if it has a mistake, which is then in `problems`."""
        where = f"targets.{name}"
        task = self.problems.attempt(f"{where}.task" if decl.task else where, get_task, decl.task or name, repeat=True)
        if task is None:
            return ()
        self._check_settings(f"{where}.settings", task, decl.settings)
        if not self.problems.at(f"{where}.settings"):
            whole = {**task.settings, **self.experiment.settings.get(task.name, {}), **decl.settings}
            self.problems.attempt(f"{where}.settings", _refuse_combination, whole)
        splits = [split for split in self.experiment.splits if split in task.splits]
        if not splits:
            wanted, there = " or ".join(self.experiment.splits), ", ".join(task.splits)
            hint = f"add splits: [{there}] to the experiment" if there else "it has nothing to evaluate, leave it out"
            self.problems.add(where, f"it has no {wanted} split; {hint}")
            return ()
        before = len(self.problems.messages)
        conditions = self._conditions(name, task)
        specs: list[EvaluationSpec] = []
        for split in splits:
            languages = self.problems.attempt(where, self._languages, task, decl, split) or ()
            self._note(name, task, decl, split, languages)
            for language in languages:
                spec = self.problems.attempt(where, self._evaluation, task, decl, split, language, None)
                if spec is not None:
                    specs += [spec, *(self._evaluation(task, decl, split, language, noise) for noise in conditions)]
        if not specs and len(self.problems.messages) == before:
            self.problems.add(where, "none of its languages is both selected (languages:) and available (data:)")
        return tuple(specs)

    def selection(self, task_name: str, language: str | None = None) -> EvaluationSpec | None:
        """The evaluation on a training task's dev set, by which regimes and seeds are chosen; None if it has none."""
        task = get_task(task_name)
        language = language or task.source_language
        if not self.data.has(task, "dev", language):
            self._check_declared(task, "dev")
            return None
        decl = self.experiment.targets.get(task.name, TargetDecl())
        own = decl.task in (None, task.name)  # a target with the name of this task may declare another task
        return self._evaluation(task, decl if own else TargetDecl(), "dev", language, None)

    def _check_declared(self, task: Task, split: str) -> None:
        """Collect as a mistake a file of a split that the experiment declares and that no language has."""
        source = self.experiment.data.tasks.get(task.name)
        paths = None if source is None else getattr(source, split)
        wanted = self.experiment.languages if isinstance(self.experiment.languages, tuple) else ()
        known = dict.fromkeys((*task.all_languages, *wanted))
        if paths is not None and not any(self.data.has(task, split, language) for language in known):
            named = paths if isinstance(paths, str) else ", ".join(paths)
            self.problems.add(f"data.tasks.{task.name}.{split}", f"{named} does not exist; check the path")

    def watched(self, name: str, decl: TargetDecl) -> tuple[Watched, ...]:
        """The evaluations of a target's stage during its training; none if the experiment declares no curves.

        Ranking tasks are excluded, because encoding their pool of candidates at each dev evaluation costs too much.
        """
        curves, task = self.experiment.curves, get_task(decl.task or name)
        if curves is None or _procedure(task, task.settings) is Procedure.RANK:
            return ()
        found = [
            self._evaluation(task, decl, split, language, None)
            for split in curves.splits
            if split in task.splits
            for language in self._curve_languages(task, split, curves.languages)
        ]
        return tuple(Watched(spec, curves.examples) for spec in found if spec.data.labelled)

    def _curve_languages(self, task: Task, split: str, wanted: Literal["present"] | tuple[str, ...]) -> list[str]:
        known = (*self._official(task), *self.invented)
        there = [language for language in known if language != ENGLISH and self.data.has(task, split, language)]
        return there if wanted == "present" else [language for language in wanted if language in there]

    def check_curves(self) -> None:
        """Collect as mistakes the languages of the curves that no target has."""
        curves = self.experiment.curves
        if curves is not None and isinstance(curves.languages, tuple):
            tasks = [
                task for name, decl in self.experiment.targets.items() if (task := all_tasks().get(decl.task or name))
            ]
            known = dict.fromkeys(language for task in tasks for language in self._official(task))
            self.problems.attempt(
                "curves", _refuse_unknown, "the experiment", [*known, *self.invented], curves.languages
            )

    def check_noise(self) -> None:
        """Collect as mistakes the names in `noise.targets` that are not targets."""
        noise = self.experiment.noise
        for name in noise.targets or () if noise is not None else ():
            if name not in self.experiment.targets:
                self.problems.add(
                    "noise.targets", f"{name!r} is not a target; {nearest(name, self.experiment.targets)}"
                )

    def check_languages(self) -> None:
        """Check that at least one target has each language of the experiment's `languages`.

        Raises:
            Problems: no target has some of the languages.
        """
        if isinstance(self.experiment.languages, tuple):
            names = [decl.task or name for name, decl in self.experiment.targets.items()]
            tasks = [task for name in names if (task := all_tasks().get(name))]
            known = list(dict.fromkeys(language for task in tasks for language in self._official(task)))
            _refuse_unknown("the experiment", known, self.experiment.languages)

    def _official(self, task: Task) -> tuple[str, ...]:
        """The task's languages in the experiment's benchmark."""
        return get_benchmark(self.experiment.benchmark).languages.get(task.name, task.languages)

    def _languages(self, task: Task, decl: TargetDecl, split: str) -> list[str]:
        wanted = self.experiment.languages if decl.languages is None else decl.languages
        official = self._official(task)
        if isinstance(wanted, tuple):
            if decl.languages is not None:
                _refuse_unknown(task.name, official, wanted)
            return [language for language in wanted if language in official or private_language(language)]
        lacking = unpublished(self.experiment, task, split)
        there = (lang for lang in official if lang not in lacking or self.data.has(task, split, lang))
        known = [*there, *self.invented]
        if wanted == "all" and not self.invented:
            return known
        return [language for language in known if self.data.has(task, split, language)]

    def _note(self, name: str, task: Task, decl: TargetDecl, split: str, languages: Sequence[str]) -> None:
        """Record the languages of the benchmark that are left out because they have no data.

        Nothing is recorded if the data is generated: nobody expects real languages of it.
        """
        if any(language in self.invented for language in languages):
            return
        wanted = self.experiment.languages if decl.languages is None else decl.languages
        lost = [language for language in self._official(task) if language not in languages]
        if lost and languages and not isinstance(wanted, tuple):
            self.left_out[name, split] = tuple(lost)

    def check_settings(self) -> None:
        """Collect the mistakes in the experiment's `settings`."""
        for name, values in self.experiment.settings.items():
            task = self.problems.attempt(f"settings.{name}", get_task, name, repeat=True)
            if task is not None:
                self._check_settings(f"settings.{name}", task, values)

    def _check_settings(self, where: str, task: Task, values: Mapping[str, Any]) -> None:
        known = known_settings(task)
        for name, value in values.items():
            if name not in known:
                self.problems.add(f"{where}.{name}", f"unknown; {nearest(name, known)}")
            elif problem := setting_problem(name, value, known[name]):
                self.problems.add(f"{where}.{name}", problem)

    def _conditions(self, name: str, task: Task) -> tuple[Condition, ...]:
        noise = self.experiment.noise
        if noise is None or (noise.targets is not None and name not in noise.targets):
            return ()
        conditions = tuple(_conditions(noise.kinds, noise.rates, noise.seed, noise.scope, task))
        problems = (problem for condition in conditions for problem in noise_problems(task, condition))
        for problem in dict.fromkeys(problems):
            self.problems.add("noise", problem)
        return conditions

    def _evaluation(
        self, task: Task, decl: TargetDecl, split: str, language: str, condition: Condition | None
    ) -> EvaluationSpec:
        own = self.experiment.settings.get(task.name, {})
        settings = {**task.settings, **self._trained_lengths(task), **own, **decl.settings}
        # The threshold for noisy data is chosen on clean dev data, also when the noisy data is dev itself.
        tuned = _procedure(task, settings).tuned and "dev" in task.splits and (split != "dev" or condition is not None)
        return EvaluationSpec(
            task=task.name,
            task_version=task.scored_version,
            split=split,
            language=language,
            data=self.ref(task.name, split, language),
            tune=self.ref(task.name, "dev", language) if tuned else None,
            settings=recorded_settings(task, settings),
            condition=condition,
            pool=self._pool(task, split),
            definition=task.scored_definition,
        )

    def _trained_lengths(self, task: Task) -> dict[str, Any]:
        """Sequence lengths that the experiment's recipes set for training on a task; its evaluation uses the same."""
        if task.train_on is None:
            return {}
        own = self.experiment.recipes.get(task.train_on)
        declared = {**self.experiment.recipe.model_dump(), **({} if own is None else own.model_dump())}
        return {name: declared[name] for name in LENGTH_FIELDS if name in task.settings and declared.get(name)}

    def _pool(self, task: Task, split: str) -> DataRef | None:
        """The pool of candidates that a ranking task searches. On dev it is None: the pairs come from the training task
        there, and their own texts are searched."""
        if _procedure(task, task.settings) is not Procedure.RANK or split == "dev":
            return None
        return self.ref(task.name, CANDIDATES, EVERY)


def _conditions(kinds: Sequence[str], rates: Sequence[float], seed: int, scope: str, task: Task) -> Iterator[Condition]:
    """A condition for every kind of noise at every rate. The scope only applies to families that have several."""
    scope = scope if len(get_family(task.family).noise) > 1 else "all"
    for kind in kinds:
        for rate in rates:
            yield Condition(kind, float(rate), seed, scope)


def _procedure(task: Task, settings: Mapping[str, Any]) -> Procedure:
    return get_family(task.family).procedure(task, settings)


def _refuse_combination(settings: Mapping[str, Any]) -> None:
    if problem := combination_problem(settings):
        raise StiltsError(problem)


def _refuse_unknown(who: str, known: Sequence[str], languages: Sequence[str]) -> None:
    unknown = [language for language in languages if language not in known and not private_language(language)]
    if unknown:
        raise Problems([f"{who} has no language {name!r}; {nearest(name, known)}" for name in unknown])
