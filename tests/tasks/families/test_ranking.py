"""Ranking with graded relevance: BEIR's files, training, and scores."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from stilts.data.examples import check_rows
from stilts.data.sources.files import get_format
from stilts.errors import StiltsError
from stilts.tasks.families import get_family
from stilts.tasks.score import score
from tests.tasks.families.learning import WORDS, declared, learn

TASK = "mine: {family: ranking, metrics: [recall@10, recall@20, mrr@10], metric: ndcg@10}"


def write(folder: Path, judgements: str, corpus: dict[str, str], queries: dict[str, str]) -> Path:
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", corpus), ("queries", queries)):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judgements}")
    return folder / "qrels" / "test.tsv"


def test_a_model_learns_to_rank_and_keeps_its_scores(tmp_path: Path) -> None:
    task = declared(TASK)
    corpus = {f"c{n}": f"{WORDS[n]} {WORDS[n]}" for n in range(12)}
    queries = {f"q{n}": f"{WORDS[n]} {WORDS[13]}" for n in range(12)}
    judged = "".join(f"q{n}\tc{n}\t2\nq{n}\tc{(n + 1) % 12}\t{n % 2}\n" for n in range(12))
    path = write(tmp_path / "data", judged, corpus, queries)
    table = get_format(task).read([path], task, "en")
    candidates = get_format(task).candidates
    assert candidates is not None
    pool = candidates({"mul": path.parents[1] / "corpus.jsonl"}, task)
    learned = learn(task, table, tmp_path, pool=pool)
    assert learned.losses[1] < 0.7 * learned.losses[0]
    assert learned.found.metrics is not None
    assert learned.found.metrics["mrr@10"] > 70
    assert set(learned.found.metrics) == {"ndcg@10", "recall@10", "recall@20", "mrr@10"}


def test_ndcg_is_that_of_scikit_learn() -> None:
    task = declared(TASK)
    rng = np.random.default_rng(0)
    grades = rng.integers(0, 4, size=(5, 30))
    scores = rng.random((5, 30))
    gold = {f"q{q}": {f"c{c}": int(g) for c, g in enumerate(row) if g} for q, row in enumerate(grades)}
    ranked = {f"q{q}": [f"c{c}" for c in np.argsort(-row)[:20]] for q, row in enumerate(scores)}
    assert score(task, "en", ranked, gold)["ndcg@10"] == pytest.approx(100 * ndcg_score(grades, scores, k=10))


def test_scores_by_hand() -> None:
    task = declared(TASK)
    gold = {"q1": {"a": 3, "b": 1}, "q2": {"c": 1}, "q3": {}}
    ranked = {"q1": ["x", "b", "a", "a"], "q2": [*(f"x{n}" for n in range(11)), "c"], "q3": ["a"]}
    found = score(task, "en", ranked, gold)
    ideal = 3 / np.log2(2) + 1 / np.log2(3)
    assert found["ndcg@10"] == pytest.approx(100 * (1 / np.log2(3) + 3 / np.log2(4)) / ideal / 3)
    assert found["recall@10"] == pytest.approx(100 * (1 + 0 + 0) / 3)
    assert found["recall@20"] == pytest.approx(100 * (1 + 1 + 0) / 3)
    assert found["mrr@10"] == pytest.approx(100 * (1 / 2) / 3)
    binary = score(task, "en", ranked, {"q1": ["a", "b"], "q2": ["c"], "q3": []})
    assert binary["mrr@10"] == found["mrr@10"]


def test_files_of_beir(tmp_path: Path) -> None:
    task = declared(TASK)
    path = write(tmp_path, "q1\tc2\t1\nq1\tc1\t2\nq2\tc1\t1\nq2\tc2\t0\n", {"c1": "one", "c2": "two"},
                 {"q1": "a", "q2": "b", "q3": "never judged"})  # fmt: skip
    table = get_format(task).read([path], task, "en")
    check_rows(table, task, "x")
    rows = [(r["id"], r["candidate"], r["keys"], r["grades"]) for r in table.to_pylist()]
    assert rows == [("q1", "c1", ["c1", "c2"], [2, 1]), ("q2", "c1", ["c1"], [1]), ("", "c2", ["c2"], [])]
    assert get_family("ranking").scored_gold(table, task) == {"q1": {"c1": 2, "c2": 1}, "q2": {"c1": 1}}


@pytest.mark.parametrize(
    ("judgements", "message"),
    [
        ("q1\tc1\n", "test.tsv:2: 2 columns, expected 3"),
        ("q1\tc1\tx\n", "test.tsv:2: score 'x' is no whole number"),
        ("q9\tc1\t1\n", "test.tsv:2: no query 'q9' in queries.jsonl"),
        ("q1\tc9\t1\n", "test.tsv:2: no text 'c9' in corpus.jsonl"),
        ("q1\tc1\t0\n", "no query has a relevant text"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(judgements: str, message: str, tmp_path: Path) -> None:
    task = declared(TASK)
    path = write(tmp_path, judgements, {"c1": "one"}, {"q1": "a"})
    with pytest.raises(StiltsError, match=message):
        get_format(task).read([path], task, "en")


def test_judgements_without_queries(tmp_path: Path) -> None:
    task = declared(TASK)
    (tmp_path / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tc\t1\n")
    with pytest.raises(StiltsError, match=r"no queries.jsonl in its folder or the one above"):
        get_format(task).read([tmp_path / "test.tsv"], task, "en")
