"""The checks at the end of a bout. Each returns messages about what is wrong, and none if all is well."""

import re
import signal
from collections import Counter
from collections.abc import Iterable, Sequence

from tests.chaos import grid
from tests.chaos.scene import Driver

DEFECT = 70
_BAD = re.compile(r"defect of stilts|Traceback \(most recent call last\)")
_MESSAGE = re.compile(r"(?m)^error: ")
_LEFTOVERS = (".aside-", "/resume")


def drivers(ended: Iterable[Driver]) -> list[str]:
    """Drivers that ended with a defect, without a message, or by a signal that the harness did not send."""
    said = []
    for driver in ended:
        code, who = driver.process.returncode, f"stilts {driver.command} ({driver.log})"
        if code == DEFECT:
            said.append(f"{who} ended with exit status {DEFECT}")
        elif code < 0 and not (driver.killed and code == -signal.SIGKILL):
            said.append(f"{who} ended by signal {-code}")
        log = driver.log.read_text(errors="replace")
        if found := _BAD.search(log):
            said.append(f"{who} says {found.group()!r}")
        elif 0 < code < DEFECT and not _MESSAGE.search(log):
            said.append(f"{who} ended with exit status {code} and without a message")
    return said


def residue(paths: Iterable[str]) -> list[str]:
    """Files of interrupted writers in a store, and failures of stages that are done."""
    names = set(paths)
    left = [f"in the store: {path}" for path in names if any(mark in path for mark in _LEFTOVERS)]
    failures = [path for path in names if path.rpartition("/")[2].startswith("failure")]
    done = [path for path in failures if f"{path.rpartition('/')[0]}/record.json" in names]
    return left + [f"a failure of a stage that is done: {path}" for path in done]


def differences(expected: grid.Result, found: grid.Result) -> list[str]:
    """Differences between the results of an undisturbed and a disturbed grid."""
    said = []
    for what in ("stages", "predictions"):
        one, two = getattr(expected, what), getattr(found, what)
        said += [f"{what}: {name} is lost" for name in one if name not in two]
        said += [
            f"{what}: {name} differs from the undisturbed run's"
            for name in one
            if two.get(name, one[name]) != one[name]
        ]
        said += [f"{what}: {name} is not in the undisturbed run" for name in two if name not in one]
    said += [f"the weights of {name} should be gone" for name in set(found.kept) - set(expected.kept)]
    said += [f"the weights of {name} are lost" for name in set(expected.kept) - set(found.kept)]
    if expected.table != found.table:
        said.append("the final table differs from the undisturbed run's")
    if expected.best != found.best:
        said.append(f"the search's best recipe is {found.best!r}, and {expected.best!r} in the undisturbed run")
    return said + _files(expected.files, found.files)


def _files(expected: Sequence[str], found: Sequence[str]) -> list[str]:
    more, less = Counter(found) - Counter(expected), Counter(expected) - Counter(found)
    return [f"orphaned in the store: {path}" for path in more] + [f"missing in the store: {path}" for path in less]
