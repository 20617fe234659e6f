"""XTREME's prediction folder: what is chosen, what is refused, and that it scores as it should."""

import hashlib
import json
import os
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from stilts.data.sources.bitexts import read_bucc, read_tatoeba
from stilts.data.sources.plain_pairs import read_pairs
from stilts.data.sources.squad import read_squad
from stilts.data.sources.tags import read_tags
from stilts.errors import Problems, StiltsError
from stilts.evaluate.predictions import write_predictions
from stilts.evaluate.score import score_folder
from stilts.identity.stage import Condition
from stilts.results.submission import check_predictions, write_submission
from stilts.tasks.base import get_task
from stilts.tasks.benchmarks import XTREME_R, Benchmark
from stilts.tasks.schema import CLASSIFICATION, RANKING, RETRIEVAL, SPAN_QA, TAGGING

XNLI = ["neutral", "entailment", "contradiction"]


def submit(grid, out, **options):
    return write_submission(out, grid.cells, grid.read_evaluation, grid.read_predictions, grid.read_examples, **options)


def pairs(n):
    rows = [{"id": str(i), "text_a": "a", "text_b": "b", "label": -1} for i in range(n)]
    return pa.Table.from_pylist(rows, schema=CLASSIFICATION)


def corpora():
    rows = [{"side": "foreign", "id": f"de-{i}", "text": "x", "gold": []} for i in range(3)]
    rows += [{"side": "en", "id": f"en-{i}", "text": "x", "gold": []} for i in range(2)]
    return pa.Table.from_pylist(rows, schema=RETRIEVAL)


def add_xnli(grid, regime, seed, dev, predictions=XNLI, test_score=50.0, languages=("en", "de")):
    cell = grid.add(regime, "xnli", seed, {lang: {"accuracy": test_score} for lang in languages}, dev=dev)
    for language in languages:
        grid.predictions[cell.stage, language] = write_predictions("xnli", predictions)
        grid.examples[f"xnli-{language}"] = pairs(3)


def add_retrieval(grid, regime, tuned, seed=1):
    extra = {"threshold": 1.1, "tuned_f1": tuned}
    stage = f"base-{regime}-s{seed}"
    grid.add(regime, "bucc2018", seed, {"de": {"f1": 1.0, "precision": 1.0, "recall": 1.0}}, stage=stage, extra=extra)
    grid.add(regime, "tatoeba", seed, {"nl": {"accuracy": 9.0}}, stage=stage)
    # One stage, two targets: languages keep their predictions apart here.
    grid.predictions[stage, "de"] = b"de-0\ten-1\n"
    grid.predictions[stage, "nl"] = b"2\n0\n"
    grid.examples["bucc2018-de"] = grid.examples["tatoeba-nl"] = corpora()


def test_the_best_mean_on_dev_wins_and_its_best_seed_is_taken(grid, tmp_path):
    for seed, (none, mnli) in {1: (70, 71), 2: (80, 85), 3: (60, 50)}.items():
        # The test scores say the contrary and must not count.
        add_xnli(grid, "none", seed, none, test_score=99.0)
        add_xnli(grid, "mnli", seed, mnli, test_score=1.0)
    manifest = submit(grid, tmp_path / "out")
    chosen = manifest["targets"]["xnli"]
    assert (chosen["intermediate"], chosen["seed"], chosen["dev"]) == ("none", 2, 80)
    assert chosen["regimes"] == {
        "none": {"dev": 70.0, "n": 3, "planned": 3},
        "mnli": {"dev": pytest.approx(206 / 3), "n": 3, "planned": 3},
    }
    assert chosen["chosen_by"] == "dev score of xnli (English)"
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest
    assert (tmp_path / "out" / "xnli" / "test-de.tsv").read_text().split() == XNLI


def test_a_regime_without_dev_scores_is_no_candidate(grid, tmp_path):
    add_xnli(grid, "none", 1, None)
    add_xnli(grid, "mnli", 1, None)
    add_xnli(grid, "mnli", 2, 40)
    chosen = submit(grid, tmp_path / "out")["targets"]["xnli"]
    assert (chosen["intermediate"], chosen["seed"]) == ("mnli", 2)
    assert chosen["regimes"] == {"none": {"dev": None, "n": 0, "planned": 1}, "mnli": {"dev": 40, "n": 1, "planned": 2}}


def test_tatoeba_follows_bucc(grid, tmp_path):
    add_retrieval(grid, "none", 20.0)
    add_retrieval(grid, "squad", 60.0)
    manifest = submit(grid, tmp_path / "out")
    for target in ("bucc2018", "tatoeba"):
        assert manifest["targets"][target]["intermediate"] == "squad"
        assert manifest["targets"][target]["chosen_by"] == "dev score of bucc2018 (all languages)"
    assert (tmp_path / "out/tatoeba/test-nl.tsv").read_text() == "2\n0\n"


def test_dev_evaluations_choose_where_training_had_no_dev_set(grid, tmp_path):
    for regime, dev in (("none", 30.0), ("mnli", 40.0)):
        scores = {"en": {"exact_match": dev, "f1": dev}}
        grid.add(regime, "mlqa", 1, scores, stage=f"{regime}-squad", split="dev")
        grid.add(regime, "xquad", 1, {"en": {"exact_match": 1.0, "f1": 1.0}}, stage=f"{regime}-squad")
        grid.predictions[f"{regime}-squad", "en"] = b'{"q": "a"}'
    answers = [{"id": "q", "context": "a", "question": "?", "answers": []}]
    grid.examples["xquad-en"] = pa.Table.from_pylist(answers, schema=SPAN_QA)
    manifest = submit(grid, tmp_path / "out")
    assert manifest["targets"]["xquad"]["intermediate"] == "mnli"
    assert manifest["targets"]["xquad"]["chosen_by"] == "dev score of mlqa (all languages)"
    assert manifest["missing"]["mlqa"] == "no predictions of mnli-squad"


def test_no_dev_score_needs_a_name(grid, tmp_path):
    add_xnli(grid, "none", 1, None)
    add_xnli(grid, "mnli", 1, None)
    with pytest.raises(StiltsError, match="xnli: no dev score to choose an intermediate by; name one with --inter"):
        submit(grid, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    chosen = submit(grid, tmp_path / "out", intermediates={"xnli": "mnli"})["targets"]["xnli"]
    assert (chosen["intermediate"], chosen["chosen_by"], chosen["dev"]) == ("mnli", "given", None)


def test_what_is_missing_is_listed(grid, tmp_path):
    add_xnli(grid, "none", 1, 70.0)
    del grid.predictions["base-none-xnli-s1", "de"]
    grid.add("none", "pawsx", 1, {"en": "missing"}, dev=80.0)
    manifest = submit(grid, tmp_path / "out")
    assert manifest["targets"]["xnli"]["languages"] == ["en"]
    assert "de" in manifest["targets"]["xnli"]["missing_languages"]
    assert manifest["missing"]["pawsx"] == "no predictions of base-none-pawsx-s1"
    assert manifest["missing"]["panx"] == "not a zero-shot target of the experiment"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json", "xnli"]


def test_files_that_do_not_fit_are_refused_together(grid, tmp_path):
    add_xnli(grid, "none", 1, 70.0, predictions=XNLI[:2])
    add_retrieval(grid, "none", 20.0)
    grid.predictions["base-none-s1", "nl"] = b"2\n3\n"
    with pytest.raises(Problems) as refused:
        submit(grid, tmp_path / "out")
    assert [message.split(": ", 1) for message in refused.value.messages] == [
        ["xnli/test-en.tsv (base-none-xnli-s1)", "2 lines for 3 examples"],
        ["xnli/test-de.tsv (base-none-xnli-s1)", "2 lines for 3 examples"],
        ["tatoeba/test-nl.tsv (base-none-s1)", "3 is no line of the foreign file, which has 3"],
    ]
    assert not (tmp_path / "out").exists()


def test_mistakes_in_what_is_asked(grid, tmp_path):
    with pytest.raises(StiltsError, match="has no cells"):
        submit(grid, tmp_path / "out")
    add_xnli(grid, "mnli", 1, 70.0)
    with pytest.raises(Problems, match="xnli: unknown intermediate 'mnly'; did you mean 'mnli'"):
        submit(grid, tmp_path / "out", intermediates={"xnli": "mnly"})
    with pytest.raises(StiltsError, match="unknown model 'bace'; did you mean 'base'"):
        submit(grid, tmp_path / "out", model="bace")
    grid.add("mnli", "xnli", 1, {"en": "missing"}, model="other")
    with pytest.raises(StiltsError, match="give --model, one of: base, other"):
        submit(grid, tmp_path / "out")
    assert submit(grid, tmp_path / "out", model="base")["model"] == "base"


def test_only_a_submission_is_replaced(grid, tmp_path):
    add_xnli(grid, "mnli", 1, 70.0)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(StiltsError, match="holds something else"):
        submit(grid, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").exists()
    submit(grid, tmp_path / "out")
    del grid.predictions["base-mnli-xnli-s1", "de"]
    submit(grid, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "xnli").iterdir()] == ["test-en.tsv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.zip", "thesis"]


def test_the_archive_is_the_files_and_nothing_else(grid, tmp_path):
    add_xnli(grid, "mnli", 1, 70.0)
    add_retrieval(grid, "mnli", 20.0)
    manifest = submit(grid, tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "bucc2018/test-de.tsv", "tatoeba/test-nl.tsv", "xnli/test-de.tsv", "xnli/test-en.tsv"
        ]  # fmt: skip
        for name in archive.namelist():
            content = archive.read(name)
            assert content == (tmp_path / "out" / name).read_bytes()
            assert manifest["files"][name]["sha256"] == hashlib.sha256(content).hexdigest()
    assert set(manifest["files"]) == set(archive.namelist())
    assert manifest["files"]["xnli/test-de.tsv"]["examples"] == 3


def test_the_same_files_are_the_same_archive(grid, tmp_path):
    add_xnli(grid, "mnli", 1, 70.0)
    for name in ("one", "two"):
        submit(grid, tmp_path / name)
        os.utime(tmp_path / name / "xnli" / "test-en.tsv", (0, 0))
        time.sleep(0.01)
    submit(grid, tmp_path / "one")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_an_archive_of_something_else_is_not_replaced(grid, tmp_path):
    add_xnli(grid, "mnli", 1, 70.0)
    (tmp_path / "out.zip").write_bytes(b"years of work")
    with pytest.raises(StiltsError, match=r"out.zip is there, and no submission beside it"):
        submit(grid, tmp_path / "out")
    assert (tmp_path / "out.zip").read_bytes() == b"years of work"
    assert not (tmp_path / "out").exists()


def test_a_whole_submission_is_complete(grid, tmp_path):
    everything = Benchmark("xtreme", {"xnli": ("en", "de")}, {"classification": ("xnli",)})
    add_xnli(grid, "mnli", 1, 70.0)
    assert submit(grid, tmp_path / "out", benchmark=everything)["complete"] is True


def check(task, content, examples):
    return check_predictions(get_task(task), content, examples)


def test_tags_must_fit_the_words():
    rows = [{"id": "0", "tokens": ["a", "b"], "tags": []}, {"id": "1", "tokens": ["c"], "tags": []}]
    examples = pa.Table.from_pylist(rows, schema=TAGGING)
    assert check("panx", b"O\nB-PER\n\nO\n", examples) == []
    assert check("panx", b"O\nB-PER\nO\n", examples) == ["1 sentences for 2 examples"]
    assert check("panx", b"O\n\nB-PER\nO\n", examples) == ["sentence 1 has 1 tag for 2 words"]
    assert "'NOUN' is none of panx's labels" in check("panx", b"O\nNOUN\n\nO\n", examples)[0]


def test_answers_must_fit_the_questions():
    rows = [{"id": i, "context": "c", "question": "q", "answers": []} for i in ("a", "b")]
    examples = pa.Table.from_pylist(rows, schema=SPAN_QA)
    assert check("mlqa", b'{"a": "x", "b": ""}', examples) == []
    assert check("mlqa", b'{"a": "x", "z": ""}', examples) == [
        "1 questions have no answer, first b",
        "1 ids are no questions, first z",
    ]


def test_rankings_must_be_of_the_queries():
    rows = [
        {"id": i, "query": "q", "candidate": "", "text": "", "context": "", "keys": [], "language": ""}
        for i in ("a", "b")
    ]
    examples = pa.Table.from_pylist(rows, schema=RANKING)
    assert check("lareqa", b'{"a": ["en_1_0"], "b": ["de_1_0"]}', examples) == []
    assert check("mewslix", b'{"a": ["Q1"], "z": ["Q2"]}', examples) == [
        "1 questions have no answer, first b",
        "1 ids are no questions, first z",
    ]
    assert "names 'Q1' twice" in check("mewslix", b'{"a": ["Q1", "Q1"], "b": ["Q2"]}', examples)[0]


def test_pairs_must_be_of_the_corpora():
    assert check("bucc2018", b"de-0\ten-1\n", corpora()) == []
    assert check("bucc2018", b"", corpora()) == []
    assert check("bucc2018", b"de-0\ten-9\n", corpora()) == ["1 ids are in neither corpus, first en-9"]
    assert check("tatoeba", b"2\n", corpora()) == ["1 lines for 2 examples"]


def test_a_submission_scores_as_its_predictions(grid, tmp_path):
    add_xnli(grid, "mnli", 1, 70.0, predictions=XNLI)
    add_retrieval(grid, "mnli", 20.0)
    submit(grid, tmp_path / "out")
    gold = {"xnli/test-en": XNLI, "xnli/test-de": [*XNLI[:2], "neutral"], "tatoeba/test-nl": ["2", "1"]}
    for name, labels in gold.items():
        path = tmp_path / "labels" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{label}\n" for label in labels))
    scores = score_folder(tmp_path / "out", tmp_path / "labels")
    assert scores["xnli"]["avg_metric"] == pytest.approx((100 + 200 / 3) / 2)
    assert scores["tatoeba"]["avg_metric"] == 50.0


REAL = {
    "xnli": (read_pairs, "xnli/test-de.tsv", "de"),
    "panx": (read_tags, "panx/test-de.tsv", "de"),
    "udpos": (read_tags, "udpos/test-af.tsv", "af"),
    "tatoeba": (read_tatoeba, "tatoeba/af-en.{af,en}", "af"),
    "bucc2018": (read_bucc, "bucc2018/zh-en.test.{zh,en}", "zh"),
    "xquad": (read_squad, "xquad/xquad.de.json", "de"),
}


@pytest.mark.parametrize("target", REAL)
def test_gold_of_real_data_submitted_scores_a_hundred(grid, tmp_path, xtreme_mini, target):
    reader, pattern, language = REAL[target]
    folder = Path(xtreme_mini) / "xtreme"
    paths = [folder / pattern]
    if "{" in pattern:
        stem, ends = pattern.rstrip("}").split("{")
        paths = [folder / f"{stem}{end}" for end in ends.split(",")]
    gold = next((Path(xtreme_mini) / "labels" / target).glob(f"test-{language}.*"))
    content = gold.read_bytes()
    if target == "xquad":
        questions = [q for a in json.loads(content)["data"] for p in a["paragraphs"] for q in p["qas"]]
        content = write_predictions("xquad", {q["id"]: q["answers"][0]["text"] for q in questions})
    cell = grid.add("mnli", target, 1, {language: "unlabelled"})
    grid.predictions[cell.stage, language] = content
    grid.examples[f"{target}-{language}"] = reader(paths, get_task(target), language)
    labels = tmp_path / "labels" / target / gold.name
    labels.parent.mkdir(parents=True)
    labels.write_bytes(gold.read_bytes())

    submit(grid, tmp_path / "out", intermediates={target: "mnli"})
    assert score_folder(tmp_path / "out", tmp_path / "labels")[target]["avg_metric"] == 100.0


def test_noise_is_not_submitted(grid, tmp_path):
    noise = {Condition("swap", 0.1): {"fr": {"accuracy": 99.0}}}
    cell = grid.add("none", "xnli", 1, {"en": {"accuracy": 50.0}}, noise=noise, dev=70.0)
    for language in ("en", "fr"):
        grid.predictions[cell.stage, language] = write_predictions("xnli", XNLI)
        grid.examples[f"xnli-{language}"] = pairs(3)
    assert submit(grid, tmp_path / "out")["targets"]["xnli"]["languages"] == ["en"]
    assert [path.name for path in (tmp_path / "out" / "xnli").iterdir()] == ["test-en.tsv"]


def test_only_what_is_trained_on_english_is_submitted(grid, tmp_path):
    add_xnli(grid, "none", 1, 70.0)
    for name, setting in (("xnli", "translate-train-all"), ("xnli-tt", "translate-train-all")):
        grid.add("mnli", name, 1, {"en": {"accuracy": 99.0}}, task="xnli", setting=setting, dev=99.0, stage=name)
    manifest = submit(grid, tmp_path / "out")
    assert list(manifest["targets"]) == ["xnli"]
    assert list(manifest["targets"]["xnli"]["regimes"]) == ["none"]
    with pytest.raises(Problems, match="xnli-tt is no zero-shot target of the experiment; did you mean 'xnli'"):
        submit(grid, tmp_path / "out", intermediates={"xnli-tt": "none"})


def test_the_benchmark_says_what_belongs(grid, tmp_path):
    add_xnli(grid, "none", 1, 70.0)
    manifest = submit(grid, tmp_path / "out", benchmark=XTREME_R)
    assert set(manifest["targets"]) | set(manifest["missing"]) == set(XTREME_R.languages)
