"""The trials of a search, with a real Optuna study in SQLite and a real store; only the training is replaced."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from rich.console import Console

from stilts.errors import Problems, StiltsError
from stilts.experiment.search import Space
from stilts.ledger.garbage import find_garbage
from stilts.ledger.needs import CLEANING, declarations, trial_declarations
from stilts.ledger.record import read_stage, write_stage
from stilts.ledger.settle import settle
from stilts.schedule.agenda import StageOutcome
from stilts.search.declared import Declarations
from stilts.search.launch import settle_search, tune
from stilts.search.proposals import FAILURES
from stilts.search.study import distributions, study_subject
from stilts.search.subject import Subject
from stilts.storage.lease import Lease
from tests.search.drivers import Driver, Open


def test_trials_are_proposed_scored_and_counted(search: Open) -> None:
    driver = Driver(search("search.trials=3"))
    for score in (60.0, 70.0, 65.0):
        driver.train(driver.offer(), [(10, score - 5), (40, score)])
    assert driver.proposals.offer() is None
    assert driver.states() == ["COMPLETE"] * 3
    assert [trial.value for trial in driver.study.get_trials()] == [60, 70, 65]
    assert driver.study.get_trials()[1].intermediate_values == {10: 65, 40: 70}
    assert driver.proposals.progress() == "3 of 3 trials over, best dev 70.00"
    assert [line.split(":")[0] for line in driver.said] == [f"trial {n} is the best so far" for n in (0, 1)]


def test_the_experiments_own_recipe_comes_first_where_the_space_holds_it(search: Open) -> None:
    own = Driver(search("recipe.learning_rate=5e-5"))
    assert own.offer().endswith(own.found.subject.default.stages[0][:12])
    other = Driver(search("recipe.learning_rate=1", "name=other"))
    assert not other.offer().endswith(other.found.subject.default.stages[0][:12])


def test_every_stage_is_one_of_the_experiment_with_the_values(search: Open) -> None:
    driver = Driver(search())
    names = {driver.offer() for _ in range(4)}
    stages = [driver.found.subject.configure(trial.params).stages[0] for trial in driver.study.get_trials()]
    assert {name[-12:] for name in names} == {stage[:12] for stage in stages}


def test_a_killed_search_takes_up_what_was_under_way_and_repeats_nothing(search: Open) -> None:
    first = Driver(search())
    done, running = first.offer(), first.offer()
    first.train(done, [(40, 70.0)])
    first.proposals.reported(running, {"curve": [(10, 50.0)]})
    again = Driver(search())
    assert again.offer() == running
    assert again.offer() not in (done, running)
    again.proposals.reported(running, {"curve": [(10, 50.0), (20, 55.0)]})
    assert again.states() == ["COMPLETE", "RUNNING", "RUNNING"]
    assert again.study.get_trials()[1].intermediate_values == {10: 50, 20: 55}


def test_the_stage_of_a_driver_that_died_before_it_could_tell_is_not_trained_again(search: Open) -> None:
    first = Driver(search())
    stage = first.offer()
    write_stage(first.store, stage, {"weights": {}, "dev": {"score": 70.0, "curve": [(40, 70.0)]}})
    again = Driver(search())
    assert again.offer() != stage
    assert again.study.get_trials()[0].value == 70


def test_a_trial_that_was_killed_before_it_had_values_counts_nothing(search: Open) -> None:
    first = Driver(search("search.trials=1", "recipe.learning_rate=1"))
    first.study.ask({"batch_size": first.proposals._space["batch_size"]})
    again = Driver(search("search.trials=1", "recipe.learning_rate=1"))
    again.train(again.offer(), [(40, 60.0)])
    assert again.proposals.offer() is None
    assert again.states() == ["FAIL", "COMPLETE"]


def test_the_same_values_are_trained_once(search: Open) -> None:
    """Two configurations in all: the others of the search are repeats, and the search ends."""
    driver = Driver(search("search.space.learning_rate="))
    trained = []
    while (job := driver.proposals.offer()) is not None:
        trained.append(job.name)
        if len(trained) == 1:
            driver.train(job.name, [(40, 70.0)])
        else:
            driver.proposals.ended(job.name, StageOutcome("diverged", "loss is NaN"))
    trials = driver.study.get_trials()
    assert (len(trials), len(trained)) == (6, len({trial.params["batch_size"] for trial in trials}))
    assert sum("same_as" in trial.user_attrs for trial in trials) == 6 - len(trained)
    assert {(trial.params["batch_size"], trial.value) for trial in trials} <= {(32, 70.0), (16, None)}


def test_those_that_run_beside_one_of_the_same_values_wait_for_it(search: Open) -> None:
    driver = Driver(search("search.space.learning_rate=", "search.trials=4"))
    stages = []
    while (job := driver.proposals.offer()) is not None:
        stages.append(job.name)
    assert len(stages) == len(set(stages)) <= 2
    for stage in stages:
        driver.train(stage, [(40, 70.0)])
    assert driver.states() == ["COMPLETE"] * 4


class TestStopping:
    """Rungs at 10 and 20 steps; half of those that come there go on."""

    @pytest.fixture
    def driver(self, search: Open) -> Driver:
        return Driver(search("search.stopping={min_steps: 10, reduction: 2}"))

    def test_what_falls_behind_is_stopped_and_leaves_its_scores(self, driver: Driver) -> None:
        good, bad = driver.offer(), driver.offer()
        assert not driver.proposals.reported(good, {"curve": [(10, 70.0)]})
        assert driver.proposals.reported(bad, {"curve": [(10, 40.0)]})
        assert driver.proposals.reported(bad, {"curve": [(10, 40.0)]})  # until it has stopped
        driver.proposals.ended(bad, StageOutcome("stopped", "stopped after step 12 of 40"))
        stopped = driver.study.get_trials()[1]
        assert (stopped.state.name, stopped.value, stopped.user_attrs["ended"]) == ("PRUNED", 40, "stopped")

    def test_what_ran_to_its_end_before_it_could_be_stopped_counts(self, driver: Driver) -> None:
        good, bad = driver.offer(), driver.offer()
        driver.proposals.reported(good, {"curve": [(10, 70.0)]})
        assert driver.proposals.reported(bad, {"curve": [(10, 40.0)]})
        driver.train(bad, [(10, 40.0), (40, 80.0)])
        assert driver.study.best_trial.number == 1

    def test_a_resumed_search_knows_the_rungs(self, driver: Driver, search: Open) -> None:
        good, bad = driver.offer(), driver.offer()
        driver.proposals.reported(good, {"curve": [(10, 70.0)]})
        again = Driver(search("search.stopping={min_steps: 10, reduction: 2}"))
        assert (again.offer(), again.offer()) == (good, bad)
        assert again.proposals.reported(bad, {"curve": [(10, 40.0)]})

    def test_what_was_being_stopped_is_not_taken_up(self, driver: Driver, search: Open) -> None:
        good, bad = driver.offer(), driver.offer()
        driver.proposals.reported(good, {"curve": [(10, 70.0)]})
        driver.proposals.reported(bad, {"curve": [(10, 40.0)]})
        again = Driver(search("search.stopping={min_steps: 10, reduction: 2}"))
        assert again.offer() == good
        assert bad not in (again.offer(), again.offer())
        assert again.states()[:2] == ["RUNNING", "PRUNED"]


def test_a_configuration_is_the_mean_over_its_seeds_and_the_first_decides_alone(search: Open) -> None:
    driver = Driver(search("search.seeds=[1, 2]", "search.stopping={min_steps: 10, reduction: 2}"))
    first = driver.offer()
    driver.train(first, [(10, 70.0), (40, 71.0)])
    second = driver.offer()
    assert second.rpartition("-")[0].endswith("-s2")
    assert not driver.proposals.reported(second, {"curve": [(10, 1.0)]})
    driver.train(second, [(40, 61.0)])
    trial = driver.study.get_trials()[0]
    assert (trial.value, trial.user_attrs["scores"]) == (66, [71, 61])
    assert trial.intermediate_values == {10: 70, 40: 71}


def test_a_search_whose_trials_all_fail_gives_up_and_says_why(search: Open) -> None:
    driver = Driver(search())
    for _ in range(FAILURES):
        driver.proposals.ended(driver.offer(), StageOutcome("failed", "ValueError: bad data in line 7"))
    assert driver.proposals.offer() is None
    assert driver.proposals.broken is not None
    assert "bad data in line 7" in driver.proposals.broken


def test_a_trial_that_the_store_or_a_disk_has_failed_is_continued_by_the_next_driver(search: Open) -> None:
    first = Driver(search())
    stage = first.offer()
    first.proposals.ended(stage, StageOutcome("failed", "the disk is full: free some space", cause="disk"))
    assert first.proposals.away
    assert first.proposals.broken == "the disk is full: free some space"
    assert first.proposals.offer() is None
    again = Driver(search())
    assert again.offer() == stage
    assert again.states() == ["RUNNING"]


def test_values_that_do_not_go_together_are_refused_and_the_search_continues(search: Open) -> None:
    """Each end of the space is valid with the experiment's own recipe; not every pair."""
    driver = Driver(
        search(
            *("targets=[xquad]", "search.target=xquad", "recipe.max_length=200", "recipe.stride=100"),
            "recipe.selection=best-dev",
            *("search.space.learning_rate=", "search.space.batch_size="),
            *("search.space.max_length={choices: [150, 200]}", "search.space.stride={choices: [100, 180]}"),
            "search.trials=8",
        )
    )
    while (job := driver.proposals.offer()) is not None:
        driver.train(job.name, [(40, 70.0)])
    ended = {(t.params["max_length"], t.params["stride"]): t.user_attrs["ended"] for t in driver.study.get_trials()}
    assert ended.pop((150, 180), "refused") == "refused"
    assert set(ended.values()) == {"done"}


@pytest.mark.parametrize("change", ["recipe.max_steps=50", "search.space.batch_size={choices: [8, 32]}", "seeds=[2]"])
def test_a_study_of_another_search_is_refused(search: Open, change: str) -> None:
    Driver(search())
    with pytest.raises(StiltsError, match="belongs to another search"):
        Driver(search(change))


def test_more_trials_continue_the_study(search: Open) -> None:
    driver = Driver(search("search.trials=1"))
    driver.train(driver.offer(), [(40, 60.0)])
    assert driver.proposals.offer() is None
    assert Driver(search("search.trials=2")).offer()


def test_a_database_that_cannot_be_used_is_told(search: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StiltsError, match="cannot open the study at"):
        Driver(search(f"search.study=sqlite:///{tmp_path}/file/study.db"))
    with pytest.raises(StiltsError, match="cannot open the study at"):
        Driver(search("search.study=nonsense://host/name"))


def settled(driver: Driver) -> None:
    settle_search(driver.found, driver.study, driver.declared)


def test_weights_stay_of_the_best_of_running_trials_and_of_what_others_need(search: Open) -> None:
    found = search("search.trials=5")
    with found.running(lambda who: None):
        driver = Driver(found)
        stages = [driver.offer() for _ in range(5)]
        for stage, score in zip(stages, (60.0, 70.0, 65.0), strict=False):
            driver.train(stage, [(40, score)])
        driver.store.write(f"stages/{stages[3]}/weights/model.safetensors", b"weights")
        driver.store.write(f"stages/{stages[4]}/resume/state.json", b"{}")
        other = found.of(found.subject.configure(driver.study.get_trials()[2].params))
        runtime = other.experiment.runtime.model_copy(update={"keep": "all"})
        named = other.experiment.model_copy(update={"name": "other", "runtime": runtime})
        replace(other, experiment=named, expansion=replace(other.expansion, experiment=named)).declare()
        keys = {stage[-12:] for stage in stages}
        settle(driver.store, "search", keys)
        assert [driver.weights(stage) for stage in stages] == [False, True, True, True, False]
        assert list(driver.store.list(f"stages/{stages[4]}/resume"))
        assert all(read_stage(driver.store, stage) for stage in stages[:3])


def test_what_a_failed_trial_left_goes(search: Open) -> None:
    found = search("search.trials=2")
    with found.running(lambda who: None):
        driver = Driver(found)
        failed, good = driver.offer(), driver.offer()
        driver.store.write(f"stages/{failed}/resume/state.json", b"{}")
        driver.proposals.ended(failed, StageOutcome("failed", "ValueError: bad data"))
        assert trial_declarations(driver.store, "search").keys() == {1}
        driver.train(good, [(40, 60.0)])
        settled(driver)
    assert not list(driver.store.list(f"stages/{failed}/resume"))
    assert driver.weights(good)


def test_a_trial_is_declared_before_its_first_stage_is_offered(search: Open) -> None:
    found = search("search.trials=2")
    with found.running(lambda who: None):
        driver = Driver(found)
        stage = driver.offer()
        (declared,) = (one for one in declarations(driver.store) if one.digest == "trials/0")
        assert declared.needs is not None
        assert declared.needs.stages[stage[-12:]].keeps
        assert driver.store.read(declared.path)
        driver.store.write(f"stages/{stage}/claims/1.json", b"{}")
        driver.store.write(f"stages/{stage}/resume/state.json", b"{}")
    assert not any(item.path.startswith("stages/") for item in find_garbage(driver.store).items)


def test_a_search_that_was_killed_after_its_last_trial_is_finished_by_the_next(search: Open) -> None:
    """Its driver died before it could let the weights go, close its declaration, and write the best recipe."""
    found = search("search.trials=3", "recipe.learning_rate=5e-5")
    with found.running(lambda who: None):
        driver = Driver(found)
        stages = [driver.offer() for _ in range(3)]
        killed = Declarations(found)
        for stage, score in zip(stages, (60.0, 70.0, 65.0), strict=True):
            driver.train(stage, [(40, score)])
        for number, trial in enumerate(driver.study.get_trials()):  # what it had declared before
            killed.declare(number, found.subject.configure(trial.params))
        settle(driver.store, "search")
        assert all(driver.weights(stage) for stage in stages)
    console = Console(quiet=True)
    result = tune(found, console=console)
    assert result.complete
    assert [driver.weights(stage) for stage in stages] == [False, True, False]
    assert "batch_size" in (result.results / "best.yaml").read_text()
    (declared,) = (one for one in declarations(driver.store) if "trials" not in one.digest)
    assert declared.needs is not None
    assert not declared.needs.open
    assert find_garbage(driver.store).items == []


def test_a_best_stage_that_the_store_has_lost_is_trained_again(search: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The study remembers the trial; what it recommends must be there."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = search("search.trials=1", "models.base.revision=refs/pr/9")
    with found.running(lambda who: None):
        driver = Driver(found)
        stage = driver.offer()
        driver.train(stage, [(40, 60.0)])
    assert tune(found, console=Console(quiet=True)).complete
    driver.store.remove(f"stages/{stage}")
    with pytest.raises(Problems, match="refs/pr/9"):  # it begins to train, and the base model is not on this machine
        tune(found, console=Console(quiet=True))


def test_a_search_keeps_the_weights_from_which_its_trials_start_until_it_is_over(search: Open) -> None:
    """With `keep: none`, and between two trials, when nothing is running."""
    found = search("search.trials=2", "runtime.keep=none")
    base = next(node.name for node in found.session.expansion.graph if node.is_base)
    store = found.session.store
    with found.running(lambda who: None):
        driver = Driver(found)
        write_stage(store, base, {"weights": {}})
        store.write(f"stages/{base}/weights/model.safetensors", b"weights")
        driver.train(driver.offer(), [(40, 60.0)])
        settled(driver)
        assert driver.weights(base)
        driver.train(driver.offer(), [(40, 70.0)])
        settled(driver)
        assert not driver.weights(base)


def test_a_collector_at_work_does_not_stop_the_search(search: Open) -> None:
    """While other trials run, a trial that cannot be declared waits, and keeps its number."""
    found = search("search.trials=2")
    with found.running(lambda who: None):
        driver = Driver(found)
        first = driver.offer()
        with Lease(driver.store, CLEANING):
            assert driver.proposals.offer() is None
        assert driver.offer() != first
        assert driver.states() == ["RUNNING", "RUNNING"]
        assert trial_declarations(driver.store, "search").keys() == {0, 1}


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({"batch_size": {"low": 8, "high": 24, "step": 8}}, {8, 16, 24}),
        ({"epochs": {"low": 1, "high": 2, "step": 0.5}}, {1.0, 1.5, 2.0}),
        ({"schedule": {"choices": ("linear", "constant")}}, {"linear", "constant"}),
    ],
)
def test_a_space_in_optunas_terms(space: dict[str, Any], expected: set[Any]) -> None:
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    (name,) = space
    drawn = {study.ask(distributions(Space.model_validate(space))).params[name] for _ in range(40)}
    assert drawn == expected


def test_the_same_search_proposes_the_same(search: Open, tmp_path: Path) -> None:
    def proposed(name: str) -> list[str]:
        driver = Driver(
            search(f"name={name}", f"store={tmp_path}/{name}", f"results={tmp_path}/{name}", "search.trials=4")
        )
        stages = []
        while (job := driver.proposals.offer()) is not None:
            stages.append(job.name)
            driver.train(job.name, [(40, float(int(job.name[-4:], 16)))])
        return stages

    assert proposed("one") == proposed("two")


def test_a_subject_is_plain_json(search: Open) -> None:
    subject = search().subject
    assert isinstance(subject, Subject)
    assert study_subject(subject)["space"]["batch_size"] == {"choices": [16, 32], "log": False}
