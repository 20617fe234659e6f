"""Ranking with graded relevance: the texts of a collection, ranked for a query by one encoder of both.

The encoder, its training and the search are those of dual encoders. The gold of a query is a grade for each relevant
text; a text that is not judged has the grade 0.
"""

from typing import Any

import pyarrow as pa

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import MAX_PROBLEMS
from stilts.tasks.families.dual_encoder import DualEncoder, queries_of
from stilts.tasks.families.registry import register


class Ranking(DualEncoder):
    """The `keys` of a query are the names of its relevant candidates, with their `grades`; the key of a text is its own
    name. A row with a query and a text is a pair that can be trained on. Files only (`data/sources/beir.py`).
    """

    name = "ranking"
    schema = schema.GRADED_RANKING
    scored_as = ("graded rankings",)
    usual_metrics = ("ndcg@10", "recall@20", "mrr@10")
    usual_format = "beir"
    columns = ()

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        problems = super().validate(table, task)
        queries = zip(table["query"].to_pylist(), table["keys"].to_pylist(), table["grades"].to_pylist(), strict=True)
        for row, (query, keys, grades) in enumerate(queries):
            if query and len(keys) != len(grades):
                problems.append(f"row {row}: {len(keys)} relevant texts and {len(grades)} grades")
            if any(grade <= 0 for grade in grades):
                problems.append(f"row {row}: a grade of {min(grades)}; leave out texts that are not relevant")
        return problems[:MAX_PROBLEMS]

    def scored_gold(self, table: pa.Table, task: Task, candidates: pa.Table | None = None) -> dict[str, Any] | None:
        """Return the grades of the relevant candidates by query."""
        queries: dict[str, list[Any]] = queries_of(table).to_pydict()
        if not any(queries["keys"]):
            return None
        rows = zip(queries["id"], queries["keys"], queries["grades"], strict=True)
        return {id_: dict(zip(keys, grades, strict=True)) for id_, keys, grades in rows}


register(Ranking())
