"""Inputs of an evaluation: its examples, noisy if the evaluation has a noise condition, and their features.

They depend on the data, the tokenizer and the settings alone, and not on the model's weights. Tables that take long to
make are kept under a path that contains a digest of everything that determines them, as the features of training data
are (`data/encode.py`), so that all stages, dev evaluations and ranks can share them.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stilts.data.encode import tokenizer_digest
from stilts.data.noise import perturb
from stilts.evaluate.candidates import Pool
from stilts.identity.canonical import digest
from stilts.identity.stage import NOISE_VERSION, SHORT, DataRef, EvaluationSpec
from stilts.tasks.base import Task
from stilts.tasks.families import Lengths, Procedure, get_family
from stilts.tasks.families.dual_encoder import queries_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Kept = Callable[[str, Callable[[], pa.Table]], pa.Table]
"""`kept(path, make)` returns the table of this path, relative to the store: the one that is kept there, or make()."""

_ENCODING = ("max_length", "stride", "max_query_length")
"""Settings on which features depend."""
_CHANGED = b"changed_share"


def not_kept(path: str, make: Callable[[], pa.Table]) -> pa.Table:
    """Make a table without keeping it."""
    return make()


@dataclass(frozen=True)
class Encoded:
    """Examples, and the features that the model reads: one or several rows for each example."""

    table: pa.Table
    features: pa.Table


@dataclass(frozen=True)
class Inputs:
    """What an evaluation runs the model on.

    Attributes:
        table: the examples of the evaluation, with its noise.
        main: those that the model reads: the same, but the queries alone for a ranking.
        tune: the dev set on which a threshold is chosen; None if it is chosen on `table` itself, or there is none.
        pool: the candidates of a ranking, otherwise None.
        pool_features: returns the features of the candidates.
        noise: `changed_share` (`data.noise.Noisy`) under a noise condition, otherwise empty.
    """

    table: pa.Table
    main: Encoded
    tune: Encoded | None
    pool: Pool | None
    pool_features: Callable[[], pa.Table]
    noise: dict[str, float]

    def renewed(self) -> "Inputs":
        """The same inputs, for weights that have changed since they were used."""
        return self if self.pool is None else replace(self, pool=self.pool.renewed())


def prepare(
    task: Task,
    spec: EvaluationSpec,
    table: pa.Table,
    tune: pa.Table | None,
    tokenizer: "PreTrainedTokenizerFast",
    pool: Pool | None = None,
    kept: Kept = not_kept,
) -> Inputs:
    """Apply the noise of an evaluation and encode its examples. May run in a thread. Arguments as for `evaluate`.

    Raises:
        StiltsError: the settings leave no room for text.
    """
    make, is_noisy = _Make(task, spec, tokenizer, kept), spec.condition is not None
    procedure = get_family(task.family).procedure(task, spec.settings)
    noise: dict[str, float] = {}
    if is_noisy:
        table, noise = make.noisy(table)
    candidates: Pool | None = None
    main = table
    if procedure is Procedure.RANK:
        main, candidates = queries_of(table), Pool(table) if pool is None else pool
    return Inputs(
        table=table,
        main=Encoded(main, make.features(main, spec.data, "data", is_noisy)),
        tune=None if tune is None or not procedure.tuned else Encoded(tune, make.features(tune, spec.tune, "tune")),
        pool=candidates,
        pool_features=lambda: make.pool_features(candidates),
        noise=noise,
    )


@dataclass(frozen=True)
class _Make:
    """Makes the tables of one evaluation, or takes those that are kept."""

    task: Task
    spec: EvaluationSpec
    tokenizer: "PreTrainedTokenizerFast"
    kept: Kept

    def noisy(self, table: pa.Table) -> tuple[pa.Table, dict[str, float]]:
        condition = self.spec.condition
        assert condition is not None

        def make() -> pa.Table:
            noisy = perturb(table, self.task, condition, self.spec.language)
            return noisy.table.replace_schema_metadata({_CHANGED: repr(noisy.changed_share)})

        path = self._path(table, self.spec.data, noise=self._noise(), language=self.spec.language)
        found = self.kept(path, make)
        return found.replace_schema_metadata(None), {"changed_share": float(found.schema.metadata[_CHANGED])}

    def pool_features(self, pool: Pool | None) -> pa.Table:
        assert pool is not None
        noisy = self.spec.pool is None and self.spec.condition is not None
        return self.features(pool.table, self.spec.pool, "pool", noisy)

    def features(self, table: pa.Table, reference: DataRef | None, part: str, noisy: bool = False) -> pa.Table:
        """Features of a table.

        Args:
            reference: what the table was read from; None: it is a part of `spec.data`.
            part: which part. A dev set on which a threshold is chosen has the features that its own evaluation has.
        """
        lengths = Lengths.of(self.spec.settings)
        determined = {
            "part": "data" if part == "tune" and reference is not None else part,
            "labels": list(self.task.labels),
            "lengths": {name: getattr(lengths, name) for name in _ENCODING},
            "tokenizer": tokenizer_digest(self.tokenizer),
            "noise": [self._noise(), self.spec.language] if noisy else None,
        }
        family = get_family(self.task.family)
        return self.kept(
            self._path(table, reference or self.spec.data, **determined),
            lambda: family.encode(table, self.tokenizer, self.task, lengths, training=False),
        )

    def _noise(self) -> dict[str, Any] | None:
        condition = self.spec.condition
        return None if condition is None else {"version": NOISE_VERSION, **asdict(condition)}

    def _path(self, table: pa.Table, reference: DataRef, **determined: Any) -> str:
        """`features/TASK-DIGEST.arrow`. The number of rows stands for the choice of the first examples."""
        of = {"task": [self.task.name, self.task.version], "data": reference.identity, "rows": table.num_rows}
        return f"features/{self.task.name}-{digest({'evaluated': of, **determined})[:SHORT]}.arrow"
