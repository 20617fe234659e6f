"""What an evaluation reads depends on its data, tokenizer and settings alone, and is made once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stilts.data.tables import read_table, write_table
from stilts.evaluate.candidates import Pool
from stilts.evaluate.inputs import Inputs, prepare
from stilts.identity.stage import Condition, DataRef, EvaluationSpec
from stilts.tasks.base import get_task
from tests.evaluate.test_evaluation import pairs, question, table_of, tokenizer  # noqa: F401

SWAP = Condition("swap", 0.5)


class Kept:
    """Tables in a folder, as a store keeps them; notes what was made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[str] = []

    def __call__(self, path: str, make: Callable[[], pa.Table]) -> pa.Table:
        if not (self.folder / path).exists():
            self.made.append(path)
            write_table(make(), self.folder / path)
        return read_table(self.folder / path)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def spec_of(task: str, **more: Any) -> EvaluationSpec:
    settings = {"max_length": 16, **more.pop("settings", {})}
    data = DataRef(task, "test", "de", "sha256:0")
    return replace(EvaluationSpec(task, 1, "test", "de", data, None, settings), **more)


def same(one: Inputs, other: Inputs) -> bool:
    tables = [(i.table, i.main.table, i.main.features) for i in (one, other)]
    return all(a.equals(b, check_metadata=True) for a, b in zip(*tables, strict=True)) and one.noise == other.noise


def test_features_are_made_once(tokenizer, kept: Kept):  # noqa: F811
    task, spec = get_task("xnli"), spec_of("xnli")
    alone = prepare(task, spec, pairs(0, 1), None, tokenizer)
    first = prepare(task, spec, pairs(0, 1), None, tokenizer, kept=kept)
    again = prepare(task, spec, pairs(0, 1), None, tokenizer, kept=kept)
    assert len(kept.made) == 1
    assert same(alone, first)
    assert same(first, again)
    prepare(task, replace(spec, language="fr", split="dev"), pairs(0, 1), None, tokenizer, kept=kept)
    assert len(kept.made) == 1  # the data are the same
    assert kept.made[0].startswith("features/xnli-")


def test_noisy_examples_are_made_once(tokenizer, kept: Kept):  # noqa: F811
    task, spec = get_task("xnli"), spec_of("xnli", condition=SWAP)
    alone = prepare(task, spec, pairs(0, 1), None, tokenizer)
    assert alone.noise["changed_share"] > 0
    assert not alone.table.equals(pairs(0, 1))
    assert same(alone, prepare(task, spec, pairs(0, 1), None, tokenizer, kept=kept))
    assert same(alone, prepare(task, spec, pairs(0, 1), None, tokenizer, kept=kept))
    assert len(kept.made) == 2  # the noisy examples and their features


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"max_length": 8}},
        {"condition": SWAP},
        {"condition": SWAP, "language": "fr"},
        {"condition": replace(SWAP, rate=0.25)},
        {"condition": replace(SWAP, seed=1)},
        {"data": DataRef("xnli", "test", "de", "sha256:1")},
    ],
)
def test_what_changes_the_features_changes_their_path(tokenizer, kept: Kept, change: dict[str, Any]):  # noqa: F811
    task = get_task("xnli")
    for spec in (spec_of("xnli"), spec_of("xnli", condition=SWAP), spec_of("xnli", **change)):
        prepare(task, spec, pairs(0, 1), None, tokenizer, kept=kept)
        new = len(kept.made)
    assert new == 3 if change == {"condition": SWAP} else new > 3
    assert len(set(kept.made)) == new


def test_the_first_examples_and_another_tokenizer_have_features_of_their_own(tokenizer, kept: Kept):  # noqa: F811
    task, spec = get_task("xnli"), spec_of("xnli")
    other = type(tokenizer)(tokenizer_object=_lowered(tokenizer), unk_token="<unk>", pad_token="<pad>")
    for count, one in ((2, tokenizer), (1, tokenizer), (2, other)):
        prepare(task, spec, pairs(0, 1).slice(0, count), None, one, kept=kept)
    assert len(kept.made) == 3


def _lowered(tokenizer: Any) -> Any:  # noqa: F811
    from tokenizers import Tokenizer, normalizers

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.normalizer = normalizers.Lowercase()
    return backend


def test_how_answers_are_decoded_is_no_matter(tokenizer, kept: Kept):  # noqa: F811
    task, table = get_task("xquad"), table_of("xquad", question("a", "four five"))
    for settings in ({}, {"n_best": 3}, {"max_answer_length": 2}, {"extraction": "official"}):
        prepare(task, spec_of("xquad", settings=settings), table, None, tokenizer, kept=kept)
    assert len(kept.made) == 1


def test_a_dev_set_for_the_threshold_has_the_features_of_its_own_evaluation(tokenizer, kept: Kept):  # noqa: F811
    rows = [
        {"side": side, "id": f"{side}-{i}", "text": "one two", "gold": []} for side in ("en", "foreign") for i in "ab"
    ]
    task, table = get_task("bucc2018"), table_of("bucc2018", *rows)
    dev = DataRef("bucc2018", "dev", "de", "sha256:dev")
    found = prepare(task, spec_of("bucc2018", tune=dev), table, table, tokenizer, kept=kept)
    assert found.tune is not None
    prepare(task, spec_of("bucc2018", data=dev, split="dev"), table, None, tokenizer, kept=kept)
    assert len(kept.made) == 2


def test_candidates_are_encoded_when_they_are_wanted_and_anew_for_other_weights(tokenizer, kept: Kept):  # noqa: F811
    empty = {"id": "", "query": "", "candidate": "", "text": "", "context": "", "keys": [], "language": ""}
    queries = table_of("lareqa", {**empty, "id": "q", "query": "one", "keys": ["k"]})
    pool = Pool(table_of("lareqa", {**empty, "candidate": "c", "text": "uno", "keys": ["k"]}))
    spec = spec_of("lareqa", pool=DataRef("lareqa", "candidates", "all", "sha256:p"), settings={"max_query_length": 8})
    found = prepare(get_task("lareqa"), spec, queries, None, tokenizer, pool, kept)
    assert len(kept.made) == 1
    assert found.pool_features().num_rows == 1
    assert len(kept.made) == 2
    assert found.pool is pool
    numbers = iter(range(10))
    assert [found.pool.vectors({}, lambda: next(numbers)) for _ in range(2)] == [0, 0]
    renewed = found.renewed().pool
    assert renewed is not None
    assert renewed.vectors({}, lambda: next(numbers)) == 1
