"""Checks of noise conditions, made when an experiment is planned."""

from stilts.data.noise.kinds import KINDS
from stilts.errors import nearest
from stilts.identity.stage import Condition
from stilts.tasks.base import Task
from stilts.tasks.families import get_family

SCOPES = ("all", "question")


def noise_problems(task: Task, condition: Condition) -> list[str]:
    """Return the reasons why a task cannot be evaluated under a condition; an empty list if it can."""
    problems = []
    columns = get_family(task.family).noise
    if condition.kind not in KINDS:
        problems.append(f"unknown kind of noise {condition.kind!r}; {nearest(condition.kind, KINDS)}")
    if not 0 <= condition.rate <= 1:
        problems.append(f"a rate of noise is a share from 0 to 1, not {condition.rate:g}")
    if condition.scope not in SCOPES:
        problems.append(f"unknown scope of noise {condition.scope!r}; {nearest(condition.scope, SCOPES)}")
    elif not columns:
        problems.append(f"{task.name}: the family {task.family} has no noise; leave it out of noise.targets")
    elif condition.scope not in columns:
        problems.append(
            f"{task.name}: the family {task.family} has no question that could be noisy by itself; "
            "use scope all, or leave it out of noise.targets"
        )
    return problems
