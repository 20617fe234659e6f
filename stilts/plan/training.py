"""Training: resolves a declared stage to its parts, mixing and recipe."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Protocol

from stilts.data.mixing import shares, step_counts
from stilts.data.prepare import TRANSLATED
from stilts.errors import StiltsError
from stilts.experiment.experiment import Experiment
from stilts.experiment.recipe import Recipe
from stilts.experiment.regimes import PartDecl, StageDecl, TrainingData
from stilts.identity.stage import EXAMPLE_FIELDS, DataRef, Mixing, Part, StageSpec
from stilts.plan.budget import FREE, Allowance
from stilts.plan.problems import Collector
from stilts.tasks.base import Task, all_tasks, check_heads, get_task, private_language
from stilts.tasks.families import get_family

MLM = "mlm"
"""Name of the masked language modelling task in the library."""
Training = Literal["english", "translated", "in-language"]

LENGTHS = ("epochs", "max_steps", "max_tokens", "batch_size", "max_examples")
"""Fields of a recipe that set the number of its steps."""

LENGTH_UNITS = ("epochs", "max_steps", "max_tokens")
"""Fields that give a stage its length; where a recipe has several, the last of them counts."""

_SPECIAL_FIELDS = ("stride", "max_query_length", "mlm_probability", "language_exponent")
"""Fields that only the tasks with such a field in their own recipe have."""

MIXTURE_RECIPE: Mapping[str, Any] = {
    "learning_rate": 1e-5,
    "epochs": 3,
    "batch_size": 32,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "selection": "best-dev",
}
"""Recipe of a stage of several tasks: that of jiant for XTREME, because the study did not publish its own."""


class Data(Protocol):
    """The methods of `data.prepare.Catalog` that expansion needs."""

    def has(self, task: Task, split: str, language: str) -> bool: ...

    def ref(self, task: Task, split: str, language: str) -> DataRef: ...


@dataclass
class Trainer:
    """Resolves the stages of one experiment. Results are cached, because many cells share their stages.

    Attributes:
        ref: returns the data of a task, by its name, in a split and a language.
    """

    experiment: Experiment
    data: Data
    ref: Callable[[str, str, str], DataRef]
    invented: Sequence[str] = ()
    _known: dict[tuple[str, int, Allowance], tuple[tuple[Part, ...], Mixing | None, Recipe]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        self.training_data = cache(self._training_data)

    def stage(self, parent: str, where: str, stage: StageDecl, seed: int, allowance: Allowance = FREE) -> StageSpec:
        """The stage that is declared at a place of the experiment (`where`), with the seed of its cell.

        Raises:
            StiltsError: the recipe is not valid, or data is missing.
        """
        place = (where, seed, allowance)
        if place not in self._known:
            self._known[place] = self._resolve(stage, self._seeds(where, stage, seed), allowance)
        return StageSpec(parent, *self._known[place])

    def check_recipes(self, problems: Collector) -> None:
        """Collect the mistakes in the experiment's `recipes`."""
        for name, recipe in self.experiment.recipes.items():
            task = problems.attempt(f"recipes.{name}", get_task, name, repeat=True)
            if task is not None:
                problems.attempt(f"recipes.{name}", _refuse_idle, task, recipe.model_dump())

    def _seeds(self, where: str, stage: StageDecl, seed: int) -> dict[str, Any]:
        """The seed fields of a recipe. Stages before every regime, and those with a seed of their own, are the same in
        all cells, whatever `seed_parts` says."""
        if stage.seed is not None:
            return {"seed": stage.seed}
        if where.startswith("models.") or seed not in self.experiment.seeds:
            return {"seed": seed}
        return {"seed": seed, "seed_parts": self.experiment.seed_parts.of(self.experiment.seeds.index(seed))}

    def check_steps(self, where: str, stage: StageDecl, allowance: Allowance = FREE) -> None:
        """Check that every task of a mixture gets a step, if sizes and steps are known before training.

        Raises:
            StiltsError: a task gets no step.
        """
        spec = self.stage("", where, stage, 0, allowance)
        if spec.mixing is None or spec.recipe.max_steps is None or spec.recipe.max_tokens is not None:
            return
        if all(ref.rows for part in spec.parts for ref in part.train):
            step_counts(shares({part.task: part.rows for part in spec.parts}, spec.mixing), spec.recipe.max_steps)

    def _resolve(
        self, stage: StageDecl, seeds: Mapping[str, Any], allowance: Allowance
    ) -> tuple[tuple[Part, ...], Mixing | None, Recipe]:
        given = {**stage.recipe.model_dump(), **allowance.fields()}
        if stage.mix is None:
            assert stage.task is not None
            recipe = self._recipe(stage.task, given, seeds)
            return (self._part(stage.task, stage, recipe, recipe.selection),), None, recipe
        check_heads(map(get_task, stage.mix.tasks))
        recipe = self._mixture_recipe(given, seeds)
        parts = tuple(
            self._part(name, part, self._part_recipe(name, part, stage, seeds), recipe.selection)
            for name, part in sorted(stage.mix.tasks.items())
        )
        if recipe.selection == "best-dev" and not any(part.dev for part in parts):
            raise StiltsError("none of its tasks has a dev set for model selection; set recipe.selection: last")
        probabilities = {name: p.probability for name, p in stage.mix.tasks.items() if p.probability is not None}
        mixing = Mixing(
            stage.mix.sampling, stage.mix.cap, float(stage.mix.temperature), dict(sorted(probabilities.items()))
        )
        return parts, mixing, recipe

    def precision(self, task: str) -> str:
        """The precision of a task's recipe, in which base models are evaluated on it."""
        return self._recipe(task, {}, {}).precision

    # --- recipes -------------------------------------------------------------------------------------------

    def _recipe(self, task: str, given: Mapping[str, Any], seeds: Mapping[str, Any]) -> Recipe:
        own = self.experiment.recipes.get(task)
        levels = (self.experiment.recipe.model_dump(), {} if own is None else own.model_dump(), given)
        declared = _layered(*levels)
        values = _layered(get_task(task).recipe, *levels)
        if "long_warmup" not in declared and any(name in declared for name in LENGTHS):
            # A task's own long warm-up belongs to its own number of steps.
            values["long_warmup"] = "shorten"
        return _made(f"recipe of {task}", {**values, **seeds})

    def _mixture_recipe(self, given: Mapping[str, Any], seeds: Mapping[str, Any]) -> Recipe:
        values = _layered(MIXTURE_RECIPE, self.experiment.recipe.model_dump(), given)
        return _made("recipe of the mixture", {**values, **seeds})

    def _part_recipe(self, task: str, part: PartDecl, stage: StageDecl, seeds: Mapping[str, Any]) -> Recipe:
        own = part.recipe.model_dump()
        wrong = next((name for name in own if name not in EXAMPLE_FIELDS), None)
        if wrong is not None:
            raise StiltsError(
                f"mix.tasks.{task}.recipe.{wrong}: all tasks of a mixture share this field; set recipe.{wrong} of the "
                "stage"
            )
        shaped = {name: value for name, value in stage.recipe.model_dump().items() if name in EXAMPLE_FIELDS}
        return self._recipe(task, {**shaped, **own}, seeds)

    # --- data ------------------------------------------------------------------------------------------------

    def _part(self, name: str, decl: TrainingData, recipe: Recipe, selection: str) -> Part:
        task = get_task(name)
        train, dev = self.training_data(name, decl.training, decl.languages, selection)
        definition = task.definition if dev is None else task.selecting_definition
        return Part(task.name, _version_with_parts(task), train, dev, recipe, definition)

    def _training_data(
        self, name: str, training: str, languages: tuple[str, ...] | None, selection: str
    ) -> tuple[tuple[DataRef, ...], DataRef | None]:
        """Training examples, and the dev set if it selects the weights."""
        task = get_task(name)
        if get_family(task.family).raw_text:
            if training != "english":
                raise StiltsError(f"training: {task.name} trains on text of any language; list them in languages:")
            found = languages or self._text_languages(task)
            return tuple(self.ref(name, "train", language) for language in found), None
        sources = task.parts or (name,)
        train = tuple(ref for source in sources for ref in self._examples(get_task(source), training, languages))
        has_dev = "dev" in task.splits or self.data.has(task, "dev", task.source_language)
        if selection != "best-dev" or not has_dev:
            return train, None
        return train, self.ref(sources[0], "dev", self._dev_language(task, training, languages))

    def _examples(self, task: Task, training: str, languages: tuple[str, ...] | None) -> Iterator[DataRef]:
        if training == "english":
            source = task.source_language
            if languages not in (None, (source,)):
                raise StiltsError(
                    f"{task.name} is trained on English; for languages, set training: translated or in-language"
                )
            yield self.ref(task.name, "train", source)
            return
        found = languages or self.languages(task, training)
        if languages is None and set(found) <= {"en"}:
            raise StiltsError(_no_files(task, training))
        for language in found:
            yield self.ref(task.name, split_of(training, language), language)

    def languages(self, task: Task, training: str) -> tuple[str, ...]:
        """Languages that have a training set of this kind, English (the original) included."""
        known = dict.fromkeys([*_all_languages(), *self.invented, *self._private()])
        return tuple(lang for lang in known if self.data.has(task, split_of(training, lang), lang))

    def lacking(self, task: Task, training: str, languages: Sequence[str]) -> list[str]:
        """The languages among `languages` that have no training set of this kind."""
        return [lang for lang in languages if not self.data.has(task, split_of(training, lang), lang)]

    def unpublished(self, task: Task, training: str, languages: Sequence[str]) -> list[str]:
        """The languages among `languages` for which the task's published data has no training set of this kind."""
        return [lang for lang in languages if lang in unpublished(self.experiment, task, split_of(training, lang))]

    def reason(self, task: Task, training: str, language: str) -> str:
        """Why a training set is missing: the path where it was expected, or the field that has to be declared."""
        try:
            self.ref(task.name, split_of(training, language), language)
        except StiltsError as error:
            return str(error)
        return f"give files as data.tasks.{task.name}.{split_of(training, language)}"

    def _dev_language(self, task: Task, training: str, languages: tuple[str, ...] | None) -> str:
        """Language of the dev set: English, or that of a stage that trains on one language, if it has a dev set."""
        if training == "in-language" and languages is not None and len(languages) == 1:
            return languages[0] if self.data.has(task, "dev", languages[0]) else task.source_language
        return task.source_language

    def _text_languages(self, task: Task) -> list[str]:
        """All languages whose text exists, whatever the experiment evaluates: that must not change what is trained."""
        known = dict.fromkeys([*task.languages, *self.invented, *self._private()])
        return [language for language in known if self.data.has(task, "train", language)] or ["en"]  # says why not

    def _private(self) -> list[str]:
        """Private language codes that the experiment names."""
        named = self.experiment.languages if isinstance(self.experiment.languages, tuple) else ()
        return [language for language in named if private_language(language)]


def unpublished(experiment: Experiment, task: Task, split: str) -> tuple[str, ...]:
    """Languages for which the task's published data has no such split; empty if the experiment gives its own files."""
    own = experiment.data.tasks.get(task.name)
    if task.hub is None or (own is not None and getattr(own, split) is not None):
        return ()
    return task.hub.lacking(split)


def _version_with_parts(task: Task) -> int:
    """Version of a task. The version of a union includes those of its parts, which read its examples."""
    return task.version + sum(get_task(part).version - 1 for part in task.parts)


def split_of(training: str, language: str) -> str:
    """The split of a kind of training data. Translations have a split of their own; English is their original."""
    return TRANSLATED if training == "translated" and language != "en" else "train"


def _all_languages() -> tuple[str, ...]:
    codes = (code for task in all_tasks().values() for code in task.all_languages)
    return tuple(dict.fromkeys(["en", *codes]))


def _no_files(task: Task, training: str) -> str:
    field = f"data.tasks.{task.name}.{split_of(training, '')}"
    kind = "translated training data" if training == "translated" else "training data in other languages"
    return f"no {kind} of {task.name}; give files as {field}, with {{lang}} in the path"


def _refuse_idle(task: Task, recipe: Mapping[str, Any]) -> None:
    """Pass a recipe of a task that can have an effect.

    Raises:
        StiltsError: the task trains on the data of another task, whose recipe counts, or does not have one of the
            fields.
    """
    if task.train_on is None:
        raise StiltsError(f"{task.name} has nothing to train; its evaluation has settings.{task.name}")
    if task.train_on != task.name:
        raise StiltsError(f"{task.name} trains on {task.train_on}; give recipes.{task.train_on}")
    if idle := idle_fields(task, recipe):
        raise StiltsError(f"{task.name} has no {', '.join(idle)}, so that it would have no effect; leave it out")


def idle_fields(task: Task, recipe: Mapping[str, Any]) -> list[str]:
    """The fields of a recipe that are given and have no effect on this task, such as `stride` without windows."""
    own = {*task.recipe, *(("language_exponent",) if get_family(task.family).raw_text else ())}
    return [name for name in _SPECIAL_FIELDS if recipe.get(name) is not None and name not in own]


def _layered(*levels: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe that is declared at several levels, the most general first; the later have precedence.

    max_steps replaces epochs, and max_tokens both. So that the length that a later level gives is the one that counts,
    it removes those of earlier levels that would replace it.
    """
    values: dict[str, Any] = {}
    for level in levels:
        given = [name for name in LENGTH_UNITS if level.get(name) is not None]
        for name in LENGTH_UNITS[LENGTH_UNITS.index(given[-1]) + 1 :] if given else ():
            values.pop(name, None)
        values |= level
    return values


def _made(what: str, values: Mapping[str, Any]) -> Recipe:
    if values.get("max_tokens") is not None and values.get("max_steps") is not None:
        values = {**values, "max_steps": None}
    try:
        return Recipe(**values)
    except ValueError as error:
        raise StiltsError(f"{what}: {_reason(error)}") from None


def _reason(error: ValueError) -> str:
    details = getattr(error, "errors", None)
    if details is None:
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, d['loc']))}: {d['msg'].removeprefix('Value error, ')}".removeprefix(": ")
        for d in details()
    )
