"""Labels of tasks that declare none: they are read from the training examples."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import pyarrow as pa

from stilts.errors import StiltsError
from stilts.tasks.base import Task
from stilts.tasks.families import get_family

logger = logging.getLogger(__name__)


def open_labels(task: Task) -> bool:
    """Whether the labels of a task are read from its training data, as those of CCG are."""
    return not task.labels and get_family(task.family).label_column is not None


def check_scheme(name: str, labels: Sequence[str]) -> None:
    """Check that span labels follow the BIO scheme: `O`, `B-TYPE` and `I-TYPE`. Labels without prefixes also pass.

    Args:
        name: name of the task, for the message.

    Raises:
        StiltsError: the labels follow another scheme, such as BIOES or BILOU, or a type has I- but no B- (IOB1).
    """
    prefixes = {label.partition("-")[0] for label in labels if "-" in label}
    if not prefixes & {"B", "I"}:
        return
    others = sorted(label for label in labels if label != "O" and label[:2] not in ("B-", "I-"))
    if others:
        found = ", ".join(others[:5])
        raise StiltsError(f"the training data of {name} has tags that are not BIO ({found}); {_CONVERT}")
    begun = {label[2:] for label in labels if label.startswith("B-")}
    lacking = sorted({label[2:] for label in labels if label.startswith("I-")} - begun)
    if lacking:
        found = ", ".join(lacking[:5])
        raise StiltsError(f"the training data of {name} has I- tags but no B- tags of {found}, as in IOB1; {_CONVERT}")


_CONVERT = "convert it to BIO, where each span begins with B- and continues with I- (IOB2)"


def check_spans(table: pa.Table, task: Task, where: str) -> None:
    """Check that the spans in gold tags begin with B-. A few that begin with I- are counted in a warning, because
    published files have some.

    Args:
        table: canonical examples; other tasks than those of tags that are scored by F1 of spans pass.
        where: the file or data set, for the messages.

    Raises:
        StiltsError: more than half of the spans begin with I-, as in IOB1.
    """
    column = get_family(task.family).tag_column
    if column is None or not _has_spans(task):
        return
    spans = unbegun = first = 0
    for row, tags in enumerate(table[column].to_pylist(), 1):
        for before, tag in pairwise(["O", *tags]):
            continues = tag[:2] == "I-" and before[:2] in ("B-", "I-") and before[2:] == tag[2:]
            if tag[:2] not in ("B-", "I-") or continues:
                continue
            spans += 1
            if tag[:2] == "I-":
                unbegun += 1
                first = first or row
    if not unbegun:
        return
    found = f"{unbegun} of {spans} spans begin with I- and not with B-, first in sentence {first}"
    if 2 * unbegun > spans:  # in IOB1 nearly all do, in BIO with mistakes a few
        raise StiltsError(f"{where}: {found}, as in IOB1; {_CONVERT}")
    logger.warning("%s: %s; check its tags", where, found)


def with_labels(task: Task, tables: Iterable[pa.Table]) -> Task:
    """Give a task the distinct labels of its training tables, sorted by code points. A task that declares labels is
    returned unchanged.

    A label that only occurs in other splits gets no index, so that it is never predicted.

    Args:
        tables: canonical training examples.

    Raises:
        StiltsError: the tables have no labels, or their labels do not follow the BIO scheme.
    """
    family = get_family(task.family)
    if task.labels or family.label_column is None:
        return task
    found = sorted({label for table in tables for label in family.labels_in(table)})
    if not found:
        column = family.label_column
        raise StiltsError(f"the training data of {task.name} has no {column}, from which its labels are read")
    if family.tag_column is not None and _has_spans(task):
        check_scheme(task.name, family.tags_among(found))
    return replace(task, labels=tuple(found))


def _has_spans(task: Task) -> bool:
    """Whether the tags of a task are scored as spans."""
    return not {"f1", "slot_f1"}.isdisjoint(task.metrics)
