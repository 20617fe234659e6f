"""Candidates that rankings search: found, read once for all languages, planned."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stilts.data.prepare import CANDIDATES, EVERY, Catalog
from stilts.data.tables import read_table
from stilts.errors import StiltsError
from stilts.experiment.data import DataDecl, TaskSource
from stilts.experiment.experiment import Experiment
from stilts.plan.expand import expand
from stilts.tasks.base import get_task

LAREQA, MEWSLIX = get_task("lareqa"), get_task("mewslix")


def write(path: Path, text: str) -> None:
    """A file that was last changed a minute ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    then = path.stat().st_mtime - 60
    os.utime(path, (then, then))


def xquad_r(*sentences: str) -> str:
    context, breaks, questions = " ".join(sentences), [], []
    for i, sentence in enumerate(sentences):
        start = context.index(sentence)
        breaks.append([start, start + len(sentence)])
        answers = [{"text": sentence[:1], "answer_start": start}]
        questions.append({"id": f"q{i}", "question": f"{sentence}?", "answers": answers})
    paragraph = {"context": context, "qas": questions, "sentence_breaks": breaks}
    return json.dumps({"data": [{"paragraphs": [paragraph]}]})


def article(language: str) -> dict[str, Any]:
    span = {"start": 0, "end": 1, "text": "A"}
    context = {"language": language, "text": "A b", "sentence_spans": [{"start": 0, "end": 3}]}
    return {"context": context, "mentions": [{"example_id": f"{language}-0", "mention_span": span, "entity_id": "Q1"}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "xtreme/lareqa/xquad-r/en.json", xquad_r("One.", "Two."))
    write(tmp_path / "xtreme/lareqa/xquad-r/de.json", xquad_r("Eins.", "Zwei."))
    entities = [{"entity_id": f"Q{i}", "description": "d", "sentence_spans": []} for i in range(3)]
    write(tmp_path / "xtreme/mewslix/candidate_set_entities.jsonl", "".join(json.dumps(e) + "\n" for e in entities))
    mentions = "".join(json.dumps(article(language)) + "\n" for language in ("ja", "en"))
    write(tmp_path / "xtreme/mewslix/wikinews_mentions-test.jsonl", mentions)
    return tmp_path


def catalog(folder: Path, **tasks: TaskSource) -> Catalog:
    return Catalog(DataDecl(xtreme=str(folder / "xtreme"), tasks=tasks), folder / "root")


def test_a_pool_holds_every_language_that_is_there(folder: Path) -> None:
    there = catalog(folder)
    ref = there.ref(LAREQA, CANDIDATES, EVERY)
    assert (ref.rows, ref.labelled, ref.language) == (4, True, "mul")
    assert read_table(folder / "root" / ref.path)["candidate"].to_pylist() == ["en_1_0", "en_1_1", "de_1_0", "de_1_1"]
    assert there.materialise(ref) == folder / "root" / ref.path
    assert there.ref(LAREQA, "test", "de").rows == 2
    write(folder / "xtreme/lareqa/xquad-r/th.json", xquad_r("Nueng."))
    assert catalog(folder).ref(LAREQA, CANDIDATES, EVERY).identity != ref.identity


def test_one_file_of_all_languages(folder: Path) -> None:
    there = catalog(folder)
    assert there.ref(MEWSLIX, CANDIDATES, EVERY).rows == 3
    assert there.has(MEWSLIX, "test", "ja")
    assert not there.has(MEWSLIX, "test", "ta")
    assert there.ref(MEWSLIX, "test", "ja").rows == 1
    with pytest.raises(StiltsError, match="no mentions in ta; it has en, ja"):
        there.ref(MEWSLIX, "test", "ta")


def test_files_of_ones_own(folder: Path) -> None:
    moved = str(folder / "mine" / "{lang}.json")
    for language in ("es", "zh"):
        write(Path(moved.replace("{lang}", language)), xquad_r("Uno."))
    there = catalog(folder, lareqa=TaskSource(test=moved, candidates=moved))
    assert there.ref(LAREQA, CANDIDATES, EVERY).rows == 2
    nowhere = catalog(folder, lareqa=TaskSource(candidates=str(folder / "nowhere" / "{lang}.json")))
    with pytest.raises(StiltsError, match=r"nowhere/\{lang\}\.json: no candidates of lareqa there"):
        nowhere.ref(LAREQA, CANDIDATES, EVERY)


def test_what_is_missing_is_said(folder: Path) -> None:
    (folder / "xtreme/mewslix/candidate_set_entities.jsonl").unlink()
    with pytest.raises(StiltsError, match=r"candidate_set_entities\.jsonl does not exist"):
        catalog(folder).ref(MEWSLIX, CANDIDATES, EVERY)
    nothing = Catalog(DataDecl(tasks={"xnli": TaskSource()}), folder / "root")
    assert nothing.ref(MEWSLIX, CANDIDATES, EVERY).rows == 1_003_893  # declared: a plan can be made
    with pytest.raises(
        StiltsError, match=r"no candidates data for task mewslix \(there is no usable copy on the hub\)"
    ):
        nothing.materialise(nothing.ref(MEWSLIX, CANDIDATES, EVERY))


def experiment(**fields: Any) -> Experiment:
    model = {"hub": "FacebookAI/xlm-roberta-large", "revision": "c23d21b"}
    given = {"name": "t", "seeds": [1], "models": {"m": model}, "intermediates": ["none"], **fields}
    return Experiment.model_validate_json(json.dumps(given))


def test_each_language_searches_the_same_pool(folder: Path) -> None:
    out = expand(experiment(targets=["lareqa"], languages="present"), catalog(folder, squad_retrieval=TaskSource()))
    specs = [spec for node in out.graph for spec in node.evaluations.values()]
    pools = {spec.language: spec.pool for spec in specs if spec.task == "lareqa"}
    assert set(pools) == {"en", "de"}
    assert len(set(pools.values())) == 1
    assert [spec.pool for spec in specs if spec.task == "squad_retrieval"] == [None]  # dev pairs search themselves
    (spec, other) = [spec for spec in specs if spec.task == "lareqa"]
    assert spec.pool in spec.refs
    assert spec.key != other.key
