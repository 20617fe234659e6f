"""The benchmarks: which tasks and languages each of them averages over, and under which names.

The known benchmarks are declared here and nowhere else: tasks of the library take their languages from them,
`stilts score` reads its folders by them, and an experiment names one (`benchmark: xtreme-r`). Users declare their own
in YAML (`benchmark: my.yaml`, see `stilts/experiment/benchmarks.py`).

Tasks, languages, their order and the groups of XTREME and XTREME-R are those of evaluate.py. Of XTREME-R evaluate.py
prints no average over all tasks: its list of LAReQA's languages is empty, and it has no reader and no metric for it, so
that `all_task`, which needs every task, is never computed (and a folder `lareqa` beside all the others ends the script
with a KeyError). It prints the groups, of which none has LAReQA and two have XCOPA. `ten_task_average` is ours: the
plain mean over all ten tasks, each by its main number, LAReQA by the mean over languages of the MAP@20 of each
language's questions among the candidates of all languages. XTREME-R's own evaluation of LAReQA prints one mean over the
questions of all languages, which is the same where each language has equally many.
"""

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stilts.errors import StiltsError, nearest
from stilts.experiment.benchmarks import BenchmarkDecl, is_file, read_benchmark


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's definition.

    Attributes:
        languages: task -> languages, both in evaluate.py's order.
        groups: group -> the tasks whose main numbers it averages.
        overall: what the mean over all tasks is called.
    """

    name: str
    languages: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]
    overall: str = "all_task"

    @property
    def reference(self) -> str | dict[str, Any]:
        """What stands for the benchmark in files: its name, or its definition if it is a user's own."""
        if BENCHMARKS.get(self.name) == self:
            return self.name
        return {"name": self.name, "languages": dict(self.languages), "groups": dict(self.groups)}

    def missing(self, task: str, given: Iterable[str]) -> list[str]:
        """The task's languages that are not among the given ones."""
        there = set(given)
        return [language for language in self.languages[task] if language not in there]

    def added(self, task: str, other: "Benchmark") -> tuple[str, ...]:
        """The task's languages that another benchmark does not have."""
        return tuple(language for language in self.languages[task] if language not in other.languages[task])

    def averages(self) -> dict[str, tuple[str, ...]]:
        """Every average over tasks -> its tasks: the one over all of them, then the groups."""
        return {self.overall: tuple(self.languages), **self.groups}


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_XNLI = _codes("ar bg de el en es fr hi ru sw th tr ur vi zh")
_PANX = _codes(
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr "
    "et fi hu"
)
_UDPOS = _codes("af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh")
_TATOEBA = tuple(language for language in _PANX if language not in ("en", "ms", "my", "yo"))
_XQUAD = _codes("en es de el ru tr ar vi th zh hi")
_MLQA = _codes("en es de ar hi vi zh")
_TYDIQA = _codes("en ar bn fi id ko ru sw te")

XTREME = Benchmark(
    name="xtreme",
    languages={
        "pawsx": _codes("de en es fr ja ko zh"),
        "xnli": _XNLI,
        "panx": _PANX,
        "udpos": _UDPOS,
        "bucc2018": _codes("de fr ru zh"),
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
        "panx": _PANX + _codes("qu pl uk az lt pa gu ro"),
        "udpos": _UDPOS + _codes("lt pl uk wo ro"),
        "tatoeba": _TATOEBA + _codes("az lt pl uk ro"),
        "xcopa": _codes("et ht id it qu sw ta th tr vi zh"),
        "lareqa": _XQUAD,
        "mewslix": _codes("ar de en es fa ja pl ro ta tr uk"),
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


def get_benchmark(name: str | BenchmarkDecl | Mapping[str, Any]) -> Benchmark:
    """The benchmark of this name, the one that a user declares, or that of a reference (`Benchmark.reference`).

    Raises:
        StiltsError: there is no benchmark of this name; the message names the nearest. A declared one has a task that
            does not exist, or a language that its task does not have.
    """
    if isinstance(name, str) and is_file(name):
        name = read_benchmark(name)
    if isinstance(name, BenchmarkDecl):
        return _declared(name)
    if isinstance(name, Mapping):
        languages = {task: tuple(codes) for task, codes in name["languages"].items()}
        return Benchmark(name["name"], languages, {group: tuple(names) for group, names in name["groups"].items()})
    if name not in BENCHMARKS:
        raise StiltsError(f"unknown benchmark {name!r}; {nearest(name, BENCHMARKS)}")
    return BENCHMARKS[name]


def _declared(decl: BenchmarkDecl) -> Benchmark:
    base = importlib.import_module("stilts.tasks.base")  # which imports this module
    languages = {}
    for name, codes in decl.targets.items():
        task = base.get_task(name)
        languages[name] = tuple(task.languages) if codes == "all" else codes
        for code in languages[name]:
            base.check_language(task, code)
    return Benchmark(decl.name, languages, decl.groups)


def languages_of(task: str) -> tuple[str, ...]:
    """The languages that any benchmark evaluates a task in, those of the first benchmark first."""
    return tuple(dict.fromkeys(code for found in BENCHMARKS.values() for code in found.languages.get(task, ())))
