"""Read by Python before anything else on a host whose clock is set back.

The library that fakes the clock cannot tell the absolute, monotonic sleep of Python 3.11 from one
by the wall clock, and refuses it. Nothing else of time is touched here.
"""

import select
import time


def _sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep
