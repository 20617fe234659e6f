"""Another wall clock for the Python code of this process: first in PYTHONPATH, this module is imported at its start.

`STILTS_CHAOS_CLOCK` is a number of seconds that is added to the time, or `frozen`. The monotonic clock, timeouts, and
the time stamps of files stay as they are, as they do on a machine whose clock is wrong. The clock of Ray's C++ code is
not changed: libfaketime 0.9.10, which would change it, makes Python's `time.sleep` fail.
"""

import os
import time


def _set_clock(clock: str) -> None:
    real = time.time_ns
    if clock == "frozen":
        stopped = real()
        time.time_ns = lambda: stopped
    else:
        ahead = int(float(clock) * 1e9)
        time.time_ns = lambda: real() + ahead
    time.time = lambda: time.time_ns() / 1e9


if clock := os.environ.get("STILTS_CHAOS_CLOCK"):
    _set_clock(clock)
