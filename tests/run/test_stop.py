"""The driver stops the run: no stage loses what it did."""

import os
import signal
import threading
import time

import pytest

from stilts.run.cluster.drain import Brake
from tests.run.conftest import MakeJob
from tests.run.walks import AtFirstStep, assert_walked_on, run

pytestmark = pytest.mark.usefixtures("local_ray")


def test_a_stopped_run_leaves_its_stages_waiting_and_the_next_goes_on_at_the_same_step(
    make_job: MakeJob, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [make_job("walk-a"), make_job("walk-b"), make_job("ok-child", "walk-a")]
    brake = Brake()
    outcome = run(*jobs, brake=brake, callbacks=[AtFirstStep(lambda: brake.stop("enough"))])
    assert outcome.stopped == "enough"
    assert {stage.status for stage in outcome.stages.values()} == {"waiting"}
    assert {stage.retries for stage in outcome.stages.values()} == {0}
    assert "continues with the next run" in capsys.readouterr().err
    outcome = run(*jobs)
    assert outcome.complete
    assert outcome.stopped is None
    for job in jobs[:2]:
        assert_walked_on(job)


def test_what_does_not_give_way_is_killed_in_the_end(make_job: MakeJob) -> None:
    brake = Brake()
    begin = time.monotonic()
    stop = AtFirstStep(lambda: brake.stop("enough", seconds=3))
    outcome = run(make_job("sleep-100"), brake=brake, callbacks=[stop])
    assert time.monotonic() - begin < 60
    assert outcome.stages["sleep-100"].status == "waiting"


def test_a_second_stop_can_only_hasten() -> None:
    brake = Brake()
    assert brake.reason is None
    brake.stop("first", seconds=50)
    brake.stop("second", seconds=100)
    assert brake.reason == "first"
    assert 40 < brake.seconds_left <= 50
    brake.stop("third", seconds=0)
    assert brake.seconds_left <= 0


def test_a_stop_before_the_first_trial(make_job: MakeJob) -> None:
    brake = Brake()
    brake.stop("nothing to spend")
    assert run(make_job("ok-never"), brake=brake).stages["ok-never"].status == "waiting"


def test_two_interrupts_do_not_wait(make_job: MakeJob) -> None:
    def interrupt_twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT)).start()

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(make_job("sleep-101"), callbacks=[AtFirstStep(interrupt_twice)])
    assert time.monotonic() - begin < 60
