"""What noise costs, against numbers worked out by hand."""

import csv
import io
import re

import pyarrow.parquet as pq
import pytest
from rich.console import Console
from scipy import stats

from stilts.identity.stage import Condition
from stilts.results.robustness import robustness_table
from stilts.results.scores import MEAN
from stilts.show.results import print_results, write_results
from stilts.show.robustness import robustness_grids

SWAP, CASING = Condition("swap", 0.1), Condition("casing", 0.2)


def acc(en, zh):
    return {"en": {"accuracy": en}, "zh": {"accuracy": zh}}


@pytest.fixture
def study(grid):
    """Two regimes, two seeds, two languages, two conditions."""
    for regime, seed, clean, swapped, cased in (
        ("none", 1, (80, 60), (70, 60), (80, 60)),
        ("none", 2, (84, 60), (70, 62), (80, 60)),
        ("mnli", 1, (90, 70), (81, 71), (88, 70)),
        ("mnli", 2, (90, 70), (85, 67), (86, 70)),
    ):
        grid.add(regime, "xnli", seed, acc(*clean), noise={SWAP: acc(*swapped), CASING: acc(*cased)})
    return grid


def losses(grid, baseline="none"):
    return robustness_table(grid.table(), baseline).to_pylist()


def loss(grid, regime, noise, column=MEAN, baseline="none"):
    [found] = [
        row
        for row in losses(grid, baseline)
        if (row["intermediate"], (row["noise"], row["rate"]), row["language"]) == (regime, noise, column)
    ]
    return found


def said(row, name):
    return row[name], row[f"{name}_sd"]


def test_a_loss_is_paired_by_seed_and_averaged_over_languages(study):
    found = loss(study, "none", ("swap", 0.1))
    # Clean means 70 and 72, noisy ones 65 and 66.
    assert said(found, "clean") == (71.0, pytest.approx(2**0.5))
    assert said(found, "noisy") == (65.5, pytest.approx(0.5**0.5))
    assert (*said(found, "loss"), found["n"]) == (5.5, pytest.approx(0.5**0.5), 2)
    assert found["loss_percent"] == pytest.approx(100 * (5 / 70 + 6 / 72) / 2)
    assert (found["status"], found["planned"], found["changed_share"]) == ("ok", 2, 0.05)


def test_a_loss_of_one_language(study):
    found = loss(study, "mnli", ("swap", 0.1), "zh")
    # 70 - 71 and 70 - 67.
    assert (*said(found, "loss"), found["n"]) == (1.0, pytest.approx(8**0.5), 2)
    assert found["loss_percent"] == pytest.approx(100 / 70)


def test_every_number_has_its_interval(study):
    found = loss(study, "none", ("swap", 0.1))
    for name, values in (("clean", (70, 72)), ("noisy", (65, 66)), ("loss", (5, 6))):
        low, high = stats.t.interval(0.95, 1, loc=sum(values) / 2, scale=stats.sem(values))
        assert (found[f"{name}_low"], found[f"{name}_high"]) == (pytest.approx(low), pytest.approx(high))


def test_losses_are_compared_to_the_baselines_by_seed(study):
    found = loss(study, "mnli", ("swap", 0.1))
    # The baseline loses 5 and 6, this regime 80 - 76 and 80 - 76.
    assert (found["baseline"], found["difference_n"]) == ("none", 2)
    assert said(found, "loss_difference") == (-1.5, pytest.approx(0.5**0.5))
    none = loss(study, "none", ("swap", 0.1))
    assert (none["baseline"], none["loss_difference"], none["difference_n"]) == (None, None, 0)
    turned = loss(study, "none", ("swap", 0.1), baseline="mnli")
    assert (turned["baseline"], turned["loss_difference"]) == ("mnli", 1.5)


def test_languages_that_a_kind_hardly_changes_are_named(study):
    grids = robustness_grids(study.table(), robustness_table(study.table(), "none"))
    assert [note for grid in grids for note in grid.notes] == ["Hardly changed by casing: zh."]
    assert loss(study, "none", ("casing", 0.2))["changed_share"] == pytest.approx(0.051)
    assert loss(study, "none", ("casing", 0.2), "zh")["changed_share"] == 0.002


def test_a_seed_without_a_number_is_left_out_of_the_pairs(study):
    study.add("squad", "xnli", 1, acc(80, 60), noise={SWAP: {"en": {"accuracy": 70.0}, "zh": "missing"}})
    study.add("squad", "xnli", 2, acc(80, 60), noise={SWAP: acc(78, 60)})
    found = loss(study, "squad", ("swap", 0.1))
    assert (*said(found, "loss"), found["n"], found["loss_low"]) == (1.0, None, 1, None)
    assert (found["planned"], found["status"], found["difference_n"]) == (2, "missing", 1)
    assert said(found, "clean") == (70, 0)


def test_a_clean_score_of_zero_has_no_percentage(study):
    study.add("squad", "xnli", 1, acc(0, 0), noise={SWAP: acc(0, 0)})
    found = loss(study, "squad", ("swap", 0.1))
    assert (found["loss"], found["loss_percent"]) == (0, None)


def test_seeds_that_share_an_artifact_are_one_observation(grid):
    for seed in (1, 2, 3):
        noise = {SWAP: {"de": {"accuracy": 25.0}}}
        grid.add("none", "tatoeba", seed, {"de": {"accuracy": 30.0}}, stage="base", noise=noise)
    found = loss(grid, "none", ("swap", 0.1))
    assert (*said(found, "loss"), found["n"], found["planned"]) == (5.0, None, 1, 1)


def test_clean_results_alone_have_no_table_of_noise(grid, tmp_path):
    grid.add("none", "xnli", 1, acc(80, 60))
    assert losses(grid) == []
    files = [path.name for path in write_results(tmp_path, grid.tables())]
    assert [name for name in files if "robustness" in name] == ["robustness.parquet"]
    console = Console(file=io.StringIO())
    print_results(console, grid.tables())
    assert "Noise" not in console.file.getvalue()


def test_the_files_agree(study, tmp_path):
    write_results(tmp_path, study.tables())
    records = pq.read_table(tmp_path / "robustness.parquet").to_pylist()
    lines = list(csv.DictReader(io.StringIO((tmp_path / "robustness.csv").read_text())))
    assert len(records) == len(lines) == 2 * 2 * 3
    for record, line in zip(records, lines, strict=True):
        assert {name: "" if value is None else str(value) for name, value in record.items()} == line
    none = next(r for r in records if (r["intermediate"], r["noise"], r["language"]) == ("none", "swap", "mean"))
    assert (none["clean"], none["noisy"], none["loss"], none["n"], none["rate"]) == (71.0, 65.5, 5.5, 2, 0.1)
    assert (none["target"], none["split"], none["changed_share"]) == ("xnli", "test", 0.05)
    text = (tmp_path / "robustness.md").read_text()
    assert "| base | none | 0.1 | 71.0 ±1.4 | 65.5 ±0.7; -5.5 ±0.7; -7.7% |  |" in text
    assert "| base | changed | 0.2 |  |  | 10.0% |" not in text
    assert "points lost more than with the intermediate none, paired by seed" in text
    assert r"| base | mnli | 0.1 | -1.5 \[-7.9, +4.9] |  |" in text
    assert "| base | changed | 0.1 |  | 5.0% |  |" in text
    assert "Hardly changed by casing: zh." in text
    tex = (tmp_path / "robustness.tex").read_text()
    assert r"65.5 $\pm$0.7 {\scriptsize $-$5.5 $\pm$0.7} {\scriptsize $-$7.7\%}" in tex
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 2
    for columns, body in re.findall(r"\\begin{tabular}{(llr+)}(.*?)\\end{tabular}", tex, flags=re.DOTALL):
        assert {line.count(" & ") for line in body.split("\n") if line.endswith(r"\\")} == {len(columns) - 1}


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_cuts_nothing(study, width):
    console = Console(width=width, file=io.StringIO())
    print_results(console, study.tables())
    text = console.file.getvalue()
    assert max(map(len, text.split("\n"))) <= width
    assert "…" not in text
    for number in ("71.0 ±1.4", "65.5 ±0.7", "-5.5 ±0.7", "-7.7%", "5.0%", "swap", "casing"):
        assert number in text


def test_what_is_missing_is_said(study):
    study.add("squad", "xnli", 1, acc(80, 60), noise={SWAP: {"en": "missing", "zh": "missing"}})
    console = Console(width=120, file=io.StringIO())
    print_results(console, study.tables())
    assert "missing" in console.file.getvalue()
