"""XTREME and XTREME-R: which tasks and languages they average over, and how.

Tasks, languages, their order and the groups are those of evaluate.py. It needs every language of a task; here an
average is taken over the languages that are given, so that a part of a benchmark can be scored too. Whoever shows such
a number says what is missing: `Benchmark.missing`.

Of XTREME-R evaluate.py gives no average over all tasks: its list of LAReQA's languages is empty and it has no reader
and no metric for it, so that `all_task`, which asks for every task, is never there (and a folder `lareqa` beside all
the others ends the script with a KeyError). What it does give are the groups, of which none has LAReQA and two have
XCOPA. `ten_task_average` is ours: the plain mean over all ten tasks, each by its one number, LAReQA by the mean over
languages of the MAP@20 of each language's questions among the candidates of all languages. XTREME-R's own evaluation
of LAReQA prints one mean over the questions of all languages, which is the same where each language has as many.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stilts.errors import StiltsError, nearest
from stilts.tasks.base import words
from stilts.tasks.metrics import main_number


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's definition.

    Attributes:
        languages: task -> languages, both in evaluate.py's order.
        groups: group -> tasks.
        overall: what the mean over all tasks is called.
    """

    name: str
    languages: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]
    overall: str = "all_task"

    def missing(self, task: str, given: Iterable[str]) -> list[str]:
        """The task's languages that are not among the given ones."""
        there = set(given)
        return [language for language in self.languages[task] if language not in there]


_XNLI = words("ar bg de el en es fr hi ru sw th tr ur vi zh")
_PANX = words(
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr "
    "et fi hu"
)
_UDPOS = words("af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh")
_TATOEBA = tuple(language for language in _PANX if language not in ("en", "ms", "my", "yo"))
_XQUAD = words("en es de el ru tr ar vi th zh hi")
_MLQA = words("en es de ar hi vi zh")
_TYDIQA = words("en ar bn fi id ko ru sw te")

XTREME = Benchmark(
    name="xtreme",
    languages={
        "pawsx": words("de en es fr ja ko zh"),
        "xnli": _XNLI,
        "panx": _PANX,
        "udpos": _UDPOS,
        "bucc2018": words("de fr ru zh"),
        "tatoeba": _TATOEBA,
        "xquad": _XQUAD,
        "mlqa": _MLQA,
        "tydiqa": _TYDIQA,
    },
    groups={
        "classification": ("pawsx", "xnli"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("bucc2018", "tatoeba"),
    },
)

XTREME_R = Benchmark(
    name="xtreme-r",
    languages={
        "xnli": _XNLI,
        "panx": _PANX + words("qu pl uk az lt pa gu ro"),
        "udpos": _UDPOS + words("lt pl uk wo ro"),
        "tatoeba": _TATOEBA + words("az lt pl uk ro"),
        "xcopa": words("et ht id it qu sw ta th tr vi zh"),
        "lareqa": _XQUAD,
        "mewslix": words("ar de en es fa ja pl ro ta tr uk"),
        "xquad": (*_XQUAD, "ro"),
        "mlqa": _MLQA,
        "tydiqa": _TYDIQA,
    },
    # xcopa stands in two groups, and lareqa in none, as in evaluate.py.
    groups={
        "classification": ("xnli", "xcopa"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("tatoeba", "mewslix"),
        "multi_choice": ("xcopa",),
    },
    overall="ten_task_average",
)

BENCHMARKS = {benchmark.name: benchmark for benchmark in (XTREME, XTREME_R)}


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of this name.

    Raises:
        StiltsError: there is none; the message names the nearest.
    """
    if name not in BENCHMARKS:
        raise StiltsError(f"unknown benchmark {name!r}; {nearest(name, BENCHMARKS)}")
    return BENCHMARKS[name]


def task_average(
    task: str, scores: Mapping[str, Mapping[str, float]], benchmark: Benchmark = XTREME
) -> dict[str, float]:
    """Plain means over the languages: `avg_METRIC` of each metric, and `avg_metric`, the task's one number.

    Args:
        scores: language -> metric -> value; at least one language. Summed in the benchmark's order (floating-point
            sums depend on it), then any others by name.
    """
    order = benchmark.languages.get(task, ())
    known = [language for language in order if language in scores]
    rows = [scores[language] for language in [*known, *sorted(set(scores) - set(known))]]
    means = {metric: sum(row[metric] for row in rows) / len(rows) for metric in rows[0]}
    return {**{f"avg_{metric}": value for metric, value in means.items()}, "avg_metric": main_number(means)}


def group_averages(main: Mapping[str, float], benchmark: Benchmark = XTREME) -> dict[str, float]:
    """Plain means over tasks: `benchmark.overall` if every task is there, and each group that is complete.

    Args:
        main: task -> its `avg_metric`; tasks outside the benchmark are ignored.
    """
    sets = {benchmark.overall: tuple(benchmark.languages), **benchmark.groups}
    return {
        name: sum(main[task] for task in tasks) / len(tasks)
        for name, tasks in sets.items()
        if all(task in main for task in tasks)
    }
