"""Retrieval of translations: the sentences of two languages, each encoded by itself (Tatoeba, BUCC 2018).

Nothing is trained: the sentence vectors are those of a layer of the encoder. The search is in `evaluate/mining.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths, Procedure
from stilts.tasks.families.checks import empty_texts, first_problems, rows_where
from stilts.tasks.families.files import Lines, PredictionFile, check_count
from stilts.tasks.families.hub import HubRows
from stilts.tasks.families.mlm import framed
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import features

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SIDES = ("en", "foreign")


class Retrieval(Family):
    """Features add `side` string; the encoder returns float32 [hidden] per row.

    Predictions of a task with the answers `pairs` are pairs of ids (BUCC 2018: not every sentence has a translation),
    those of other tasks are the line of the foreign file for each English sentence (Tatoeba). Noise changes the foreign
    side alone: English is the same for all languages. On the hub: `foreign` and `en`, aligned; the English side is
    sorted and its gold kept, as in XTREME's folder.
    """

    name = "retrieval"
    schema = schema.RETRIEVAL
    scored_as = ("labels",)
    gold_column = "gold"
    partly_labelled = True
    has_head = False
    usual_metrics = ("accuracy",)
    usual_settings: ClassVar[Mapping[str, Any]] = {"layer": 14, "layers": 24, "pooling": "mean", "max_length": 512}
    usual_format = "tatoeba"
    columns = ("foreign", "en")
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("text",)}

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        unknown = rows_where(pc.invert(pc.is_in(table["side"], value_set=pa.array(SIDES))))
        sides = [f"row {row}: side {table['side'][row].as_py()!r} is neither en nor foreign" for row in unknown]
        return first_problems([*sides, *empty_texts(table, "text")])

    def paths(self, path: str, language: str) -> list[Path]:
        """Return the files of both sides and, if it exists, that of the gold; `path` is their common beginning."""
        gold = Path(f"{path}.gold")
        return [Path(f"{path}.{language}"), Path(f"{path}.en"), *([gold] if gold.is_file() else [])]

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        foreign, english = ([text.rstrip("\n") for text in rows.columns[side]] for side in ("foreign", "en"))
        order = sorted(range(len(english)), key=english.__getitem__)  # stable: equal sentences keep their order
        count = len(english)
        return {
            "side": ["foreign"] * count + ["en"] * count,
            "id": [str(i) for i in range(count)] * 2,
            "text": foreign + [english[i] for i in order],
            "gold": [[] for _ in foreign] + [[str(i)] for i in order],
        }

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        rows = np.arange(table.num_rows)
        return features(rows, rows, {**framed(table["text"], tokenizer, lengths), "side": table["side"]})

    def procedure(self, task: Task, settings: Mapping[str, Any]) -> Procedure:
        return Procedure.MINE if _pairs_are_predicted(task) else Procedure.NEAREST

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        """Return the ids of each row's translations, or None if no row has any."""
        gold = table["gold"].to_pylist()
        return gold if any(gold) else None

    def scored_gold(self, table: pa.Table, task: Task, candidates: pa.Table | None = None) -> Any | None:
        """Return the set of (foreign id, English id), or the foreign line number for each English sentence."""
        if _pairs_are_predicted(task):
            foreign = table.filter(pc.equal(table["side"], "foreign"))
            rows = zip(foreign["id"].to_pylist(), foreign["gold"].to_pylist(), strict=True)
            return {(id_, other) for id_, others in rows for other in others or ()} or None
        gold = table.filter(pc.equal(table["side"], "en"))["gold"].to_pylist()
        return [ids[0] for ids in gold] if all(gold) else None

    def item_ids(self, table: pa.Table) -> list[str]:
        """Return the ids of the English sentences."""
        return _ids(table, "en")

    def file(self, task: Task) -> PredictionFile:
        return Pairs() if _pairs_are_predicted(task) else LineNumbers(_parse_number)


register(Retrieval())


def _pairs_are_predicted(task: Task) -> bool:
    return task.answers == "pairs"


class Pairs(Lines):
    """`foreign id TAB English id` per line, sorted: the format of BUCC 2018. Predictions are a set."""

    def __init__(self) -> None:
        super().__init__(_parse_pair, "\t".join)

    def write(self, predictions: Any) -> bytes:
        return super().write(sorted(predictions))

    def read(self, text: str, where: str, lenient: bool = False) -> set[tuple[str, str]]:
        return set(super().read(text, where, lenient))

    def misfit(self, predicted: Any, gold: Any, predictions: Path, labels: Path) -> str | None:
        return None  # any set of pairs can be scored

    def problems(self, predictions: Any, examples: pa.Table) -> list[str]:
        foreign, english = (set(_ids(examples, side)) for side in ("foreign", "en"))
        unknown = sorted({a for a, _ in predictions} - foreign) + sorted({b for _, b in predictions} - english)
        return [f"{len(unknown)} ids are in neither corpus, first {unknown[0]}"] if unknown else []


class LineNumbers(Lines):
    """One line number of the foreign file, from 0, per line: the format of Tatoeba."""

    def problems(self, predictions: Any, examples: pa.Table) -> list[str]:
        foreign, english = (len(_ids(examples, side)) for side in ("foreign", "en"))
        beyond = [line for line in predictions if int(line) >= foreign]
        outside = [f"{beyond[0]} is no line of the foreign file, which has {foreign}"] if beyond else []
        return check_count("lines", len(predictions), english) + outside


def _ids(examples: pa.Table, side: str) -> list[str]:
    return examples.filter(pc.equal(examples["side"], side))["id"].to_pylist()


def _parse_number(line: str) -> str:
    if not line.isdecimal():
        raise ValueError(f"{line!r} is not a line number")
    return line


def _parse_pair(line: str) -> tuple[str, str]:
    foreign, *english = line.split("\t")
    if len(english) != 1 or not foreign or not english[0]:
        raise ValueError(f"{line!r} is not two ids parted by a tab")
    if foreign.startswith("en-") and not english[0].startswith("en-"):
        raise ValueError(f"{line!r} has the English id first; evaluate.py wants the foreign one first")
    return foreign, english[0]
