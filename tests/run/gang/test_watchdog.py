"""The watchdog against a clock of the test's own: it races nothing."""

import pytest

from stilts.run.gang.watchdog import FLOOR_SECONDS, MEDIANS, PHASES, Watchdog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def train(watchdog: Watchdog, clock: Clock, steps: int, seconds: float) -> None:
    for step in range(1, steps + 1):
        clock.now += seconds
        assert watchdog.see({"step": step, "steps": 100, "beats": 3 * step}) is None


def silence(watchdog: Watchdog, clock: Clock, report: dict) -> float:
    """Seconds until the watchdog says that a gang with the same report again and again has stalled."""
    begun = clock.now
    while watchdog.see(report) is None:
        clock.now += 10
        assert clock.now - begun < 1e6
    return clock.now - begun


def test_fast_steps_have_the_floor_and_slow_ones_the_median(clock: Clock) -> None:
    fast, slow = Watchdog(None, clock), Watchdog(None, clock)
    train(fast, clock, 20, 0.5)
    assert silence(fast, clock, {"step": 20, "steps": 100, "beats": 60}) == pytest.approx(FLOOR_SECONDS, abs=20)
    slow = Watchdog(None, clock)
    train(slow, clock, 20, 60)
    assert silence(slow, clock, {"step": 20, "steps": 100, "beats": 60}) == pytest.approx(MEDIANS * 60, abs=20)


def test_the_median_and_not_a_single_slow_step_counts(clock: Clock) -> None:
    watchdog = Watchdog(None, clock)
    train(watchdog, clock, 20, 1.0)
    clock.now += 500  # such as a dev evaluation
    assert watchdog.see({"step": 21, "steps": 100, "beats": 100}) is None
    assert watchdog.limit() == FLOOR_SECONDS


def test_heartbeats_between_two_steps_are_progress(clock: Clock) -> None:
    watchdog = Watchdog(10, clock)
    train(watchdog, clock, 3, 1.0)
    for beats in range(100, 200):
        clock.now += 9
        assert watchdog.see({"step": 3, "steps": 100, "beats": beats}) is None


def test_a_phase_without_steps_gets_longer(clock: Clock) -> None:
    watchdog = Watchdog(10, clock)
    tokenizing = {"phase": "features of mnli", "beats": 4}
    assert watchdog.see(tokenizing) is None
    assert silence(watchdog, clock, tokenizing) == pytest.approx(PHASES * 10, abs=20)
    assert watchdog.see(tokenizing) == f"no progress for {clock.now:.0f} s, last in the phase 'features of mnli'"


def test_a_rank_that_does_not_answer_is_frozen_in_any_phase(clock: Clock) -> None:
    watchdog = Watchdog(10, clock)
    assert watchdog.see({"phase": "features of mnli", "beats": 4}) is None
    assert silence(watchdog, clock, {}) == pytest.approx(10, abs=20)
    assert "a rank does not answer" in (watchdog.see({}) or "")


def test_the_reason_names_the_step(clock: Clock) -> None:
    watchdog = Watchdog(10, clock)
    train(watchdog, clock, 3, 1.0)
    clock.now += 11
    reason = watchdog.see({"step": 3, "steps": 100, "phase": "mnli", "beats": 9})
    assert reason == "no progress for 11 s, last at step 3 of 100 (mnli)"
