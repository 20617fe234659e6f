"""Claims of an experiment with their defaults filled in, and the checks of the names in them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stilts.errors import nearest
from stilts.experiment.claims import TRANSFER, ClaimDecl, Correlation, Difference, Kind, Order, Ratio, Share
from stilts.experiment.experiment import Experiment
from stilts.identity.stage import Condition, EvaluationSpec
from stilts.plan.problems import Collector
from stilts.tasks.base import Task, get_task
from stilts.tasks.benchmarks import Benchmark, get_benchmark

ALL = "all"
"""Value of `target` for a correlation of the gain over all targets."""
ENGLISH = "en"
CLEAN = "clean"


@dataclass(frozen=True)
class Claim:
    """A claim with its defaults filled in.

    Attributes:
        models: the base model, and for a difference of correlations the second one.
        regimes: every regime whose scores it compares.
        targets: the targets whose scores are averaged.
        average: the benchmark's average that was named, if one was.
    """

    name: str
    decl: ClaimDecl
    models: tuple[str, ...]
    regimes: tuple[str, ...]
    targets: tuple[str, ...]
    split: str
    average: str | None = None

    @property
    def statement(self) -> Kind:
        """What is tested."""
        return self.decl.statement

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions that it needs scores of."""
        condition = self.statement.condition
        return (CLEAN, condition) if isinstance(self.statement, Ratio) else (condition,)

    def has_language(self, language: str) -> bool:
        """Whether it is about scores in a language."""
        if isinstance(self.statement, Correlation) and language == ENGLISH:
            return False
        wanted = self.statement.languages
        if wanted == TRANSFER:
            return language != ENGLISH
        return wanted == "all" or language in wanted


def claims_of(experiment: Experiment) -> list[Claim]:
    """The claims of an experiment that `check_claims` has found no mistake in."""
    return [_resolve(experiment, name, decl) for name, decl in experiment.claims.items()]


def check_claims(
    experiment: Experiment, evaluations: Mapping[str, Sequence[EvaluationSpec]], problems: Collector
) -> None:
    """Check every name in the claims of an experiment; mistakes are collected.

    Args:
        evaluations: those of each target.
    """
    for name, decl in experiment.claims.items():
        where = f"claims.{name}.{decl.kind}"
        found = list(_mistakes(experiment, decl.statement))
        for field, message in found or _not_evaluated(_resolve(experiment, name, decl), evaluations):
            problems.add(f"{where}.{field}", message)


def _not_evaluated(claim: Claim, evaluations: Mapping[str, Sequence[EvaluationSpec]]) -> Iterator[tuple[str, str]]:
    """The splits and languages of a claim in which its targets are not evaluated."""
    for target in claim.targets:
        there = [spec.language for spec in evaluations[target] if spec.split == claim.split]
        wanted = claim.statement.languages
        if not there:
            yield "split", f"{target} is not evaluated on {claim.split}"
        elif isinstance(wanted, tuple) and (lacking := [name for name in wanted if name not in there]):
            yield "languages", f"{target} is not evaluated in {', '.join(lacking)}"
        elif not any(map(claim.has_language, there)):
            yield "languages", f"{target} is evaluated in no language but English"


def _resolve(experiment: Experiment, name: str, decl: ClaimDecl) -> Claim:
    statement = decl.statement
    models: tuple[str, ...] = (statement.model or next(iter(experiment.models)),)
    if isinstance(statement, Correlation) and statement.minus_model is not None:
        models = (*models, statement.minus_model)
    targets, average = _targets(experiment, statement)
    return Claim(name, decl, models, _regimes(experiment, statement), targets, _split(experiment, statement), average)


def _split(experiment: Experiment, statement: Kind) -> str:
    return statement.split or ("test" if "test" in experiment.splits else experiment.splits[0])


def _regimes(experiment: Experiment, statement: Kind) -> tuple[str, ...]:
    every = tuple(experiment.intermediates)
    if isinstance(statement, Order):
        named = statement.ranked or statement.among or every
        return named if statement.best is None or statement.best in named else (statement.best, *named)
    if isinstance(statement, Share) and statement.of == "regimes":
        counted = statement.regimes or tuple(name for name in every if name != statement.against)
        return (*counted, statement.against)
    return tuple(name for name in (statement.regime, statement.against) if name is not None)


def _targets(experiment: Experiment, statement: Kind) -> tuple[tuple[str, ...], str | None]:
    """The targets that are meant, and the average that names them."""
    first = statement.names[0]
    if isinstance(statement, Correlation) and first == ALL:
        return tuple(experiment.targets), None
    members = _averages(get_benchmark(experiment.benchmark)).get(first)
    return (statement.names, None) if members is None else (members, first)


def _averages(benchmark: Benchmark) -> dict[str, tuple[str, ...]]:
    return {**benchmark.groups, benchmark.name: tuple(benchmark.languages)}


def _mistakes(experiment: Experiment, statement: Kind) -> Iterator[tuple[str, str]]:
    """(field, message) of each mistake in the names of a claim."""
    yield from _wrong_regimes(experiment, statement)
    yield from _wrong_models(experiment, statement)
    wrong_targets = list(_wrong_targets(experiment, statement))
    yield from wrong_targets
    if statement.split is not None and statement.split not in experiment.splits:
        yield "split", f"{statement.split} is not evaluated (splits: [{', '.join(experiment.splits)}])"
    declared = {CLEAN, *_noises(experiment)}
    if statement.condition not in declared:
        hint = nearest(statement.condition, declared) if len(declared) > 1 else "the experiment declares no noise"
        yield "condition", f"{statement.condition!r} is not evaluated; {hint}"
    if not wrong_targets and statement.metric is not None:
        for task in _tasks(experiment, statement):
            if statement.metric not in (*task.metrics, task.metric):
                yield (
                    "metric",
                    f"{task.name} has no metric {statement.metric!r}; {nearest(statement.metric, task.metrics)}",
                )


def _wrong_regimes(experiment: Experiment, statement: Kind) -> Iterator[tuple[str, str]]:
    known = experiment.intermediates
    for field in ("regime", "against", "best", "among", "ranked", "regimes"):
        given = getattr(statement, field, None)
        # Without a ratio's `against` and an order's `among` there is nothing to check.
        for name in (given,) if isinstance(given, str) else given or ():
            if name not in known:
                yield field, f"the experiment has no regime {name!r}; {nearest(name, known)}"
    if isinstance(statement, Difference | Correlation | Ratio) and statement.regime == statement.against:
        yield "against", f"{statement.regime!r} is compared with itself"
    if isinstance(statement, Order | Share) and len(_regimes(experiment, statement)) < 2:
        yield "regimes" if isinstance(statement, Share) else "among", "there is no other regime to compare with"


def _wrong_models(experiment: Experiment, statement: Kind) -> Iterator[tuple[str, str]]:
    if statement.model is None and len(experiment.models) > 1:
        yield "model", f"name one of the base models: {', '.join(experiment.models)}"
    for field in ("model", "minus_model"):
        name = getattr(statement, field, None)
        if name is not None and name not in experiment.models:
            yield field, f"the experiment has no base model {name!r}; {nearest(name, experiment.models)}"


def _wrong_targets(experiment: Experiment, statement: Kind) -> Iterator[tuple[str, str]]:
    targets, average = _targets(experiment, statement)
    absent = [name for name in targets if name not in experiment.targets]
    if average is not None and absent:
        yield (
            "target",
            f"{average} is the mean over {', '.join(targets)}; the experiment has no target {', '.join(absent)}",
        )
    elif absent:
        averages = _averages(get_benchmark(experiment.benchmark))
        yield (
            "target",
            f"the experiment has no target {absent[0]!r}; {nearest(absent[0], [*experiment.targets, *averages])}",
        )
    elif isinstance(statement, Correlation) and average is not None:
        yield "target", f"{average} is an average; name one target, or all"


def _tasks(experiment: Experiment, statement: Kind) -> Iterator[Task]:
    for name in _targets(experiment, statement)[0]:
        yield get_task(experiment.targets[name].task or name)


def _noises(experiment: Experiment) -> Iterator[str]:
    noise = experiment.noise
    if noise is None:
        return
    for kind in noise.kinds:
        for rate in noise.rates:
            yield from {Condition(kind, rate, noise.seed, scope).name for scope in ("all", noise.scope)}
