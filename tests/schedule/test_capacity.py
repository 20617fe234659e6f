import pytest

from stilts.schedule.capacity import WAITING_FOR_NODES, at_once


@pytest.mark.parametrize(
    ("fits", "limit", "growing", "trials"),
    [
        (4, None, False, 4),
        (0, None, False, 1),
        (4, 2, False, 2),
        (0, None, True, 1 + WAITING_FOR_NODES),
        (4, None, True, 4 + WAITING_FOR_NODES),
        (500, None, True, 1000),
        (500, 600, True, 600),
    ],
)
def test_what_fits_runs_and_as_much_waits_for_nodes(fits: int, limit: int | None, growing: bool, trials: int) -> None:
    assert at_once(fits, limit, growing=growing) == trials
