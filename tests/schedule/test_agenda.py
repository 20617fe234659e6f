import math

import pytest

from stilts.schedule.agenda import Agenda
from stilts.schedule.causes import CAUSES, Cause, bound, final_message


def drain(agenda: Agenda) -> list[str]:
    """Run everything, one at a time, to its good end."""
    order = []
    while (name := agenda.take()) is not None:
        order.append(name)
        agenda.finish(name, "done")
    return order


def test_a_parent_comes_before_its_children() -> None:
    agenda = Agenda({"child": "parent", "parent": None})
    assert agenda.take() == "parent"
    assert agenda.take() is None
    assert not agenda.exhausted
    agenda.finish("parent", "done")
    assert agenda.take() == "child"


def test_a_parent_that_is_no_stage_of_the_run_is_done() -> None:
    assert Agenda({"child": "in-the-store"}).take() == "child"


def test_the_longest_remaining_chain_goes_first() -> None:
    parents = {"short": None, "a": None, "a1": "a", "a2": "a1", "long": None}
    seconds = {"short": 1.0, "a": 1.0, "a1": 1.0, "a2": 2.0, "long": 3.5}
    assert drain(Agenda(parents, seconds)) == ["a", "long", "a1", "a2", "short"]


def test_equal_chains_keep_their_order() -> None:
    assert drain(Agenda({"b": None, "a": None, "c": None})) == ["b", "a", "c"]


def test_descendants_of_a_failure_are_not_run_and_the_rest_goes_on() -> None:
    agenda = Agenda({"bad": None, "child": "bad", "grandchild": "child", "good": None})
    assert agenda.take() == "bad"
    assert set(agenda.finish("bad", "diverged", "loss is NaN")) == {"child", "grandchild"}
    assert drain(agenda) == ["good"]
    assert agenda.exhausted
    assert {name: outcome.status for name, outcome in agenda.outcomes.items()} == {
        "bad": "diverged",
        "child": "not run",
        "grandchild": "not run",
        "good": "done",
    }
    assert agenda.outcomes["child"].message == "bad is diverged"


def test_a_lost_stage_is_offered_again_until_its_retries_are_used_up() -> None:
    agenda = Agenda({"a": None, "b": "a"}, max_retries=2)
    for _ in range(2):
        assert agenda.take() == "a"
        assert agenda.lose("a", "node died")
    assert agenda.take() == "a"
    assert not agenda.lose("a", "node died")
    assert agenda.outcomes["a"].status == "failed"
    assert "3 times" in agenda.outcomes["a"].message
    assert agenda.outcomes["b"].status == "not run"
    assert agenda.exhausted


def test_preemptions_are_not_counted_and_lost_nodes_only_after_many() -> None:
    agenda = Agenda({"a": None}, max_retries=0)
    for _ in range(1000):
        assert agenda.take() == "a"
        assert agenda.lose("a", "taken back", "preemption")
    for _ in range(int(CAUSES["node"].most)):
        agenda.take()
        assert agenda.lose("a", "node died", "node")
    assert agenda.outcomes["a"].retries == 0
    agenda.take()
    assert not agenda.lose("a", "node died", "node")
    assert agenda.outcomes["a"].message.startswith("one of its nodes was lost 11 times, the last time: node died; ")


def test_a_stopped_agenda_offers_nothing_and_leaves_the_rest_waiting() -> None:
    agenda = Agenda({"a": None, "b": "a", "c": None})
    agenda.take(), agenda.take()
    agenda.stop()
    assert not agenda.exhausted
    agenda.finish("a", "done")
    agenda.lose("c", "drained", "stop")
    assert agenda.take() is None
    assert agenda.exhausted
    assert [outcome.status for outcome in agenda.outcomes.values()] == ["done", "waiting", "waiting"]


def test_retries_are_counted_by_stage() -> None:
    agenda = Agenda({"a": None, "b": None}, max_retries=1)
    agenda.take(), agenda.take()
    assert agenda.lose("a", "x")
    assert agenda.lose("b", "x")


def test_a_hundred_thousand_stages_in_a_deep_chain_are_ordered_without_recursion() -> None:
    parents = {str(i): str(i - 1) if i else None for i in range(100_000)}
    agenda = Agenda(parents)
    assert agenda.chain["0"] == 100_000
    assert agenda.take() == "0"


def test_a_stage_that_is_added_starts_and_ends_as_the_others() -> None:
    agenda = Agenda({})
    assert agenda.exhausted
    agenda.add("late")
    assert agenda.take() == "late"
    agenda.finish("late", "stopped", "stopped after step 3 of 9")
    assert (agenda.outcomes["late"].status, agenda.exhausted) == ("stopped", True)


class Clock:
    """Each reading is an hour after the last, so that no pause is left."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 3600
        return self.now


def test_every_cause_has_a_bound_of_its_own() -> None:
    agenda = Agenda({"a": None}, max_retries=1, clock=Clock())
    for cause, rule in CAUSES.items():
        for _ in range(1 if cause == "process" else int(min(rule.most, 30))):
            assert agenda.take() == "a"
            assert agenda.lose("a", "gone", cause), cause
    assert agenda.outcomes["a"].retries == 1


@pytest.mark.parametrize("cause", [cause for cause, rule in CAUSES.items() if math.isfinite(rule.most)])
def test_the_end_of_a_bound_says_in_one_line_what_happened_and_what_to_do(cause: Cause) -> None:
    agenda = Agenda({"a": None, "b": "a"}, max_retries=3, clock=Clock())
    for _ in range(int(bound(cause, 3))):
        agenda.take()
        assert agenda.lose("a", "gone", cause)
    agenda.take()
    assert not agenda.lose("a", "the last of them", cause)
    outcome = agenda.outcomes["a"]
    assert (outcome.status, agenda.outcomes["b"].status) == ("failed", "not run")
    assert outcome.message == final_message(cause, int(bound(cause, 3)) + 1, "the last of them")
    assert CAUSES[cause].remedy
    assert outcome.message.endswith(CAUSES[cause].remedy)
    assert "\n" not in outcome.message


def test_a_concluded_stage_and_its_descendants_are_not_run() -> None:
    agenda = Agenda({"root": None, "bad": "root", "child": "bad", "good": "root"})
    agenda.conclude("bad", "diverged", "the loss is nan")
    assert drain(agenda) == ["root", "good"]
    assert {name: outcome.status for name, outcome in agenda.outcomes.items()} == {
        "root": "done",
        "bad": "diverged",
        "child": "not run",
        "good": "done",
    }
    assert agenda.outcomes["child"].message == "bad is diverged"


def test_nothing_is_left_where_every_root_is_concluded() -> None:
    agenda = Agenda({"bad": None, "child": "bad"})
    agenda.conclude("bad", "diverged", "the loss is nan")
    assert agenda.exhausted


def test_a_retry_after_a_lack_of_memory_waits_longer_each_time_while_other_stages_go_on() -> None:
    now = [0.0]
    agenda = Agenda({"a": None, "b": None}, clock=lambda: now[0])
    assert agenda.take() == "a"
    agenda.lose("a", "too little memory", "memory")
    assert agenda.take() == "b"
    assert agenda.take() is None
    agenda.finish("b", "done")
    assert not agenda.exhausted
    for pause in (15, 30, 60, 120):
        now[0] += pause - 1
        assert agenda.take() is None
        now[0] += 1
        assert agenda.take() == "a"
        agenda.lose("a", "too little memory", "memory")
    agenda.stop()
    assert agenda.exhausted


def test_stages_that_are_not_free_are_passed_over_and_stay_ready() -> None:
    agenda = Agenda({"a": None, "b": None, "child": "a"})
    assert agenda.take(lambda name: name != "a") == "b"
    assert agenda.take(lambda name: name != "a") is None
    agenda.finish("b", "done")
    assert not agenda.exhausted
    assert agenda.take() == "a"
    agenda.give_back("a")
    assert agenda.outcomes["a"].status == "waiting"
    assert agenda.outcomes["a"].lost == {}
    agenda.conclude("a", "done", "")
    assert agenda.take() == "child"


def test_a_stage_that_failed_elsewhere_skips_its_descendants() -> None:
    agenda = Agenda({"a": None, "child": "a"})
    agenda.conclude("a", "failed", "bad data")
    assert [agenda.outcomes[name].status for name in ("a", "child")] == ["failed", "not run"]
    assert agenda.exhausted
