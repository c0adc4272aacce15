"""Freezing: the worker makes a dispatch of each item that was completed, exactly as checked."""

import math


def prepare(ends: float = math.inf) -> int:
    """Freeze pending items until none is left; how many this call has dealt with.

    ends: when (monotonic) to take no more. Any number of workers may do this side by side, and any
    may die at any point.
    """
    raise NotImplementedError
