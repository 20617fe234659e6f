"""XTREME-R's rankings from their official files to their records, and from the predictions to the same scores."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stilts.evaluate.score import score_folder
from stilts.run.stage.stage import run_stage
from stilts.session import Session
from stilts.train.ranks import Ranks
from tests.train.toys import SYLLABLES

EXPERIMENT = """\
name: rankings
store: FOLDER/store
benchmark: xtreme-r
seeds: [1]
models:
  tiny:
    init:
      config:
        model_type: xlm-roberta
        hidden_size: 32
        num_hidden_layers: 2
        num_attention_heads: 2
        intermediate_size: 64
        max_position_embeddings: 66
        hidden_dropout_prob: 0.0
        initializer_range: 0.2
      tokenizer: {vocab_size: 300}
intermediates: [none]
targets: [lareqa, mewslix]
languages: present
recipe: {precision: fp32, learning_rate: 5e-3, epochs: null, max_steps: 25, batch_size: 40, selection: last}
recipes:
  squad_retrieval: {max_length: 48, max_query_length: 16}
  wikipedia_mentions: {max_length: 48, max_query_length: 32}
settings:
  squad_retrieval: {max_length: 48, max_query_length: 16}
  lareqa: {max_length: 48, max_query_length: 16}
  mewslix: {max_length: 48, max_query_length: 32}
data:
  xtreme: FOLDER/xtreme
  tasks: {mlm: {train: "FOLDER/text/{lang}.txt"}}
"""

NAMES = [a + b + c for a in SYLLABLES[:4] for b in SYLLABLES[20:24] for c in SYLLABLES[40:43]]
"""What a question asks about, and what its answer names: 48 words."""


def document(language: str) -> dict[str, Any]:
    """A paragraph of two sentences a name."""
    paragraphs = []
    for i, name in enumerate(NAMES):
        first, second = f"{name} {language}ra.", f"{NAMES[i - 1]}lu {language}ti."
        answers = [{"text": name, "answer_start": 0}]
        qas = [{"id": f"q{i}", "question": f"{name} {language}ku?", "answers": answers}]
        breaks = [[0, len(first)], [len(first) + 1, len(first) + 1 + len(second)]]
        paragraphs.append({"context": f"{first} {second}", "qas": qas, "sentence_breaks": breaks})
    return {"version": "1", "data": [{"paragraphs": paragraphs}]}


def article(i: int, language: str) -> dict[str, Any]:
    text = f"{language}so {NAMES[i]} {language}mu"
    start = len(language) + 3
    span = {"start": start, "end": start + len(NAMES[i]), "text": NAMES[i]}
    mention = {"example_id": f"{language}-{i}", "mention_span": span, "entity_id": f"Q{i}"}
    context = {"language": language, "text": text, "sentence_spans": [{"start": 0, "end": len(text)}]}
    return {"context": context, "mentions": [mention]}


def entity(i: int) -> dict[str, Any]:
    text = f"{NAMES[i]} dera."
    spans = [{"start": 0, "end": len(text)}]
    return {"entity_id": f"Q{i}", "description": text, "description_language": "en", "sentence_spans": spans}


def pair(i: int) -> dict[str, Any]:
    whole = article(i, "en")
    return {"contextual_mention": {"context": whole["context"], "mention": whole["mentions"][0]}, "entity": entity(i)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rankings")
    numbers = range(len(NAMES))
    files = {
        "squad/train-v1.1.json": [document("en")],
        "squad/dev-v1.1.json": [document("en")],
        "lareqa/xquad-r/en.json": [document("en")],
        "lareqa/xquad-r/de.json": [document("de")],
        "mewslix/wikipedia_pairs-train.jsonl": [pair(i) for i in numbers],
        "mewslix/wikipedia_pairs-dev.jsonl": [pair(i) for i in numbers],
        "mewslix/wikinews_mentions-test.jsonl": [
            article(i, language) for language in ("de", "en", "ja") for i in numbers
        ],
        "mewslix/candidate_set_entities.jsonl": [entity(i) for i in numbers],
    }
    for name, rows in files.items():
        path = folder / "xtreme" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "text").mkdir()
    words = np.random.default_rng(0).choice([*NAMES, "enra", "enku", "enti", "deso"], size=(150, 6)).tolist()
    (folder / "text" / "en.txt").write_text("".join(f"{' '.join(line)}\n" for line in words))
    (folder / "rankings.yaml").write_text(EXPERIMENT.replace("FOLDER", str(folder)))
    return folder


@pytest.fixture(scope="module")
def found(folder: Path, ranks: Ranks) -> dict[tuple[str, str], tuple[dict[str, Any], Path]]:
    """(task, split-language) -> metrics and prediction file."""
    session = Session.open(folder / "rankings.yaml")
    for ref in session.data:
        session.catalog.materialise(ref)
    for job in session.plan().jobs.values():
        run_stage(job, ranks, lambda progress: None)
    assert session.plan().jobs == {}
    found = {}
    for path in (folder / "store/stages").glob("*/evaluations/*/*.record.json"):
        name = path.name.removesuffix(".record.json")
        metrics = json.loads(path.read_text())["metrics"]
        found[path.parts[-2], name.rsplit("-", 1)[0]] = (metrics, path.with_name(f"{name}.json"))
    return found


def test_trained_encoders_find_what_they_should(found: dict[tuple[str, str], tuple[dict[str, Any], Path]]) -> None:
    scores = {place: metrics["map@20"] for place, (metrics, _) in found.items()}
    tests = {
        ("lareqa", "test-en"),
        ("lareqa", "test-de"),
        *(("mewslix", f"test-{lang}") for lang in ("de", "en", "ja")),
    }
    assert set(scores) == tests | {("squad_retrieval", "dev-en"), ("wikipedia_mentions", "dev-en")}
    # By chance: 2 of 192 sentences, 1 of 48 entities: about 2 and 7.
    assert min(scores.values()) > 25


def test_the_files_score_as_the_records_say(
    folder: Path, found: dict[tuple[str, str], tuple[dict[str, Any], Path]], tmp_path: Path
) -> None:
    for (task, name), (_, path) in found.items():
        if name.startswith("test"):
            language = name.removeprefix("test-")
            gold = {f"{language}-{i}": [f"Q{i}"] for i in range(len(NAMES))}
            labels = json.dumps(document(language) if task == "lareqa" else gold)
            for kind, content in (("predictions", path.read_text()), ("labels", labels)):
                (tmp_path / kind / task).mkdir(parents=True, exist_ok=True)
                (tmp_path / kind / task / f"{name}.json").write_text(content)
    scores = score_folder(tmp_path / "predictions", tmp_path / "labels", "xtreme-r")
    for task in ("lareqa", "mewslix"):
        for language, metrics in scores[task]["languages"].items():
            assert metrics == found[task, f"test-{language}"][0]
