"""The page: every number is the Parquet file's, nothing is fetched, and text that is markup stays text."""

import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stilts.results.analyse import over_seeds
from stilts.results.seed_statistics import Options
from stilts.results.training import TRAINING
from stilts.show.html.page import own_tables, render, write_report
from tests.show.html.reading import Reading, parse


def test_every_number_is_that_of_the_parquet_file(folder, reading):
    tables = {path.stem: pq.read_table(path).to_pylist() for path in folder.glob("*.parquet")}
    assert len(reading.numbers) > 500
    for number in reading.numbers:
        stored = tables[number.table][number.row][number.column]
        assert number.value == pytest.approx(stored, rel=1e-6), number
        if number.text.startswith("<"):
            assert stored < parse(number.text[1:])[0]
            continue
        shown, half = parse(number.text)
        assert abs(shown - stored / number.per) <= half * 1.000001, number


def test_the_tables_that_sections_are_made_of_are_on_the_page(reading):
    assert {number.table for number in reading.numbers} == {
        *("summary", "languages", "overview", "plan", "stages", "seeds", "study", "best", "published"),
        *("items", "selection", "similarity", "robustness", "variance", "claims"),
    }


def test_the_page_opens_with_the_question_and_the_verdicts(html):
    opening = html[html.index('<section id="claims"') : html.index('<section id="helped"')]
    assert "Does MNLI help XNLI in 2 languages?" in opening
    assert re.search(r"Of <b[^>]*>2</b> claims, <b[^>]*>1</b> is supported", opening)
    assert "not recorded" in opening
    assert "2026-01-01" in opening


def test_no_number_of_results_bypasses_the_tables(reading):
    assert reading.stray == []


def test_a_number_that_bypasses_the_tables_would_be_found(html):
    assert Reading(html.replace("<h2", "<p>mean 71.3</p><h2")).stray
    assert Reading(re.sub(r"<data [^>]*>([^<]*)</data>", r"\1", html, count=200)).stray


def test_nothing_is_fetched(html, reading):
    assert reading.external == []
    code = "".join(re.findall(r"<style>.*?</style>|<script>.*?</script>| style=\"[^\"]*\"", html, flags=re.S))
    assert len(code) > 10_000
    assert not re.search(r"url\((?!#)|@import|https?:|fetch\(|import\(|XMLHttp", code)


def test_links_lead_somewhere_and_ids_are_unique(reading):
    assert set(reading.links) <= set(reading.ids)
    assert len(set(reading.ids)) == len(reading.ids)


def test_names_and_errors_that_are_markup_stay_text(html):
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert html.count("<script>") == 1


def test_the_only_script_that_may_run_is_the_page_s_own(html):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1)
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_what_is_lacking_is_said(html):
    assert re.search(
        r'failed <data [^>]*data-column="failed">1</data> of <data [^>]*data-column="planned">3</data>', html
    )


def test_sections_without_data_say_how_to_get_them(tables, facts):
    few = {name: tables[name] for name in ("results", "summary")}
    html = render({**few, **own_tables(few, facts)}, facts, Options())
    absent = html[html.index('id="absent"') : html.index('id="reproduce"')]
    assert "noise: {kinds: [swap], rates: [0.1]}" in absent
    assert "intermediate_seeds: crossed" in absent
    assert 'href="#robustness"' not in html


def test_nothing_finished_is_a_page_too(tables, facts):
    empty = over_seeds(tables["results"].slice(0, 0), Options())
    html = render({**empty, **own_tables(empty, facts)}, facts, Options())
    assert Reading(html).stray == []


def test_the_file_is_written_beside_its_tables(tables, facts, tmp_path):
    few = {name: tables[name] for name in ("results", "summary")}
    write_report(tmp_path / "out" / "my.html", tmp_path / "results", few, replace(facts, name="other"), Options())
    assert '<h1 translate="no">other</h1>' in (tmp_path / "out" / "my.html").read_text()
    assert (tmp_path / "results" / "overview.parquet").exists()


def test_the_page_says_what_the_intermediates_learned(tables, facts):
    row = {"stage": "xlmr-mnli-s1", "phase": "intermediate", "task": "mnli", "seed": 1, "steps": 40, "own_steps": 40}
    found = [
        {
            **row,
            "dev": 33.4,
            "chance": 33.3,
            "learned": False,
            "first_loss": 1.1,
            "last_loss": 1.09,
            "note": "at chance",
        },
        {**row, "task": "squad", "learned": True, "first_loss": 4.0, "last_loss": 1.5},
        {**row, "phase": "target", "task": "xnli", "learned": True, "last_loss": 0.5},
    ]
    training = pa.Table.from_pylist(found, TRAINING)
    every = {**tables, **own_tables(tables, facts), "training": training}
    page = render(every, facts, Options())
    reading = Reading(page)
    assert "Did the intermediates learn?" in page
    shown = {(number.row, number.column): number.text for number in reading.numbers if number.table == "training"}
    assert (shown[0, "dev"], shown[0, "chance"], shown[1, "last_loss"]) == ("33.4", "33.3", "1.5")
    assert not any(row == 2 for row, _ in shown)
    assert "at chance" in page
