"""The choice on dev: which scores are compared, which regime wins, and which of its seeds."""

from stilts.results.choice import best_cell, best_regime, candidates, dev_scores, judged_by


def acc(value):
    return {"en": {"accuracy": value}, "de": {"accuracy": value}}


def regimes(grid, target):
    dev = dev_scores(target, grid.cells, grid.read_evaluation)
    return dev, candidates([cell for cell in grid.cells if cell.target == target], dev)


def test_the_regime_with_the_best_mean_on_english_dev_is_chosen(grid):
    for regime, values in {"none": (70.0, 74.0), "mnli": (71.0, 75.0), "squad": (76.0, 60.0)}.items():
        for seed, dev in enumerate(values, 1):
            grid.add(regime, "xnli", seed, acc(99.0 if regime == "none" else 1.0), dev=dev)
    dev, found = regimes(grid, "xnli")
    assert dev.source == "dev score of xnli (English)"
    assert {name: candidate.dev for name, candidate in found.items()} == {"none": 72, "mnli": 73, "squad": 68}
    assert best_regime(found) == "mnli", "although its test score is lower"
    assert best_cell([cell for cell in grid.cells if cell.intermediate == "squad"], dev).seed == 1


def test_of_equal_regimes_the_first_is_chosen(grid):
    for regime in ("squad", "mnli"):
        grid.add(regime, "xnli", 1, acc(50.0), dev=70.0)
    assert best_regime(regimes(grid, "xnli")[1]) == "squad"


def test_a_seed_without_a_dev_score_is_counted_and_not_chosen(grid):
    grid.add("mnli", "xnli", 1, acc(50.0))
    grid.add("mnli", "xnli", 2, acc(50.0), dev=60.0)
    dev, found = regimes(grid, "xnli")
    assert (found["mnli"].dev, found["mnli"].n, found["mnli"].planned) == (60, 1, 2)
    assert best_cell(grid.cells, dev).seed == 2


def test_dev_in_all_languages_serves_where_there_is_no_english_dev(grid):
    grid.add("mnli", "xnli", 1, {"en": {"accuracy": 70.0}, "de": {"accuracy": 60.0}}, split="dev")
    grid.add("squad", "xnli", 1, {"en": {"accuracy": 90.0}, "de": "missing"}, split="dev")
    dev, found = regimes(grid, "xnli")
    assert dev.source == "dev score of xnli (all languages)"
    assert (found["mnli"].dev, found["squad"].dev) == (65, None)


def test_tatoeba_is_chosen_by_what_buccs_thresholds_reached_on_dev(grid):
    for regime, tuned in {"none": 40.0, "mnli": 50.0}.items():
        grid.add(regime, "bucc2018", 1, {"de": {"f1": 1.0}}, extra={"tuned_f1": tuned})
        grid.add(regime, "tatoeba", 1, {"de": {"accuracy": 1.0}})
    dev, found = regimes(grid, "tatoeba")
    assert dev.source == "dev score of bucc2018 (all languages)"
    assert best_regime(found) == "mnli"


def test_without_any_dev_score_nothing_is_chosen(grid):
    grid.add("mnli", "xnli", 1, acc(50.0))
    dev, found = regimes(grid, "xnli")
    assert (dev.source, best_regime(found)) == ("", None)


def test_only_evaluations_that_are_judged_by_are_read(grid):
    cell = grid.add("mnli", "xnli", 1, acc(50.0), dev=70.0)
    grid.reads.clear()
    regimes(grid, "xnli")
    assert {key for _, key in grid.reads} == {spec.key for spec in judged_by(cell)} == {cell.selection.key}
