"""The searcher as Tune calls it: what it offers, how trials end, and stages that a source brings."""

from collections.abc import Mapping
from typing import Any

from ray.tune.search import Searcher

from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec
from stilts.plan.job import StageJob
from stilts.run.tune_adapter.searcher import StageSearcher
from stilts.schedule.agenda import Agenda, StageOutcome


class Offers:
    """A source of some stages."""

    uri = "/store"

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.outcomes: dict[str, StageOutcome] = {}

    def offer(self) -> StageJob | None:
        if not self.names:
            return None
        return StageJob(self.names.pop(0), BaseSpec({"hub": "x"}), None, (), True, False, self.uri, Runtime())

    def reported(self, stage: str, result: Mapping[str, Any]) -> bool:
        return False

    def ended(self, stage: str, outcome: StageOutcome) -> None:
        self.outcomes[stage] = outcome


def test_stages_are_offered_up_to_the_capacity_and_children_after_their_parents() -> None:
    agenda = Agenda({"a": None, "b": "a", "c": None})
    searcher = StageSearcher(agenda, lambda: 2)
    assert searcher.suggest("1") == {"stage": "a"}
    assert searcher.suggest("2") == {"stage": "c"}
    assert searcher.suggest("3") is None
    searcher.on_trial_complete("2", {"status": "done"})
    assert searcher.suggest("3") is None, "b waits for a"
    searcher.on_trial_complete("1", {"status": "done", "time_total_s": 2.0})
    assert searcher.suggest("3") == {"stage": "b"}
    searcher.on_trial_complete("3", {"status": "failed", "error": "bad data", "traceback": "line 7"})
    assert searcher.suggest("4") == Searcher.FINISHED
    assert agenda.outcomes["a"].seconds == 2.0
    assert (agenda.outcomes["b"].message, agenda.outcomes["b"].traceback) == ("bad data", "line 7")


def test_a_lost_trial_is_offered_again_with_its_cause() -> None:
    agenda = Agenda({"a": None}, max_retries=1)
    searcher = StageSearcher(agenda, lambda: 1)
    for attempt, cause in enumerate(("preemption", "process")):
        assert searcher.suggest(str(attempt)) == {"stage": "a"}
        searcher.explain(str(attempt), "it is gone", cause)
        searcher.on_trial_complete(str(attempt), error=True)
    assert agenda.outcomes["a"].lost == {"preemption": 1, "process": 1}
    assert searcher.suggest("2") == {"stage": "a"}
    searcher.on_trial_complete("2", error=True)  # without a reason it counts as a lost process
    assert agenda.outcomes["a"].status == "failed"


def test_a_trial_that_was_stopped_leaves_its_stage_waiting() -> None:
    agenda = Agenda({"a": None})
    searcher = StageSearcher(agenda, lambda: 1)
    searcher.suggest("1")
    agenda.stop()
    searcher.on_trial_complete("1")
    assert agenda.outcomes["a"].status == "waiting"
    assert agenda.outcomes["a"].cause == "stop"
    assert searcher.suggest("2") == Searcher.FINISHED


def test_a_source_is_asked_where_the_agenda_has_nothing() -> None:
    source, agenda = Offers("x-0", "y-0"), Agenda({"a": None})
    agenda.open = True
    searcher = StageSearcher(agenda, lambda: 10, source)
    assert searcher.suggest("1") == {"stage": "a"}
    first, second = searcher.suggest("2"), searcher.suggest("3")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert [first["stage"], first["job"].name, second["stage"]] == ["x-0", "x-0", "y-0"]
    assert searcher.suggest("4") is None
    searcher.explain("2", "it is gone", "node")
    searcher.on_trial_complete("2", error=True)
    assert source.outcomes == {}, "it will be retried"
    again = searcher.suggest("5")
    assert isinstance(again, dict)
    assert again["job"] is first["job"]
    for trial in ("1", "5", "3"):
        searcher.on_trial_complete(trial, {"status": "done"})
    assert {name: outcome.status for name, outcome in source.outcomes.items()} == {"x-0": "done", "y-0": "done"}
    assert searcher.suggest("6") == Searcher.FINISHED
