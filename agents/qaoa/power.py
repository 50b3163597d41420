"""What a measured choice of sub-channels is worth: the classical step between and after the circuits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from baselines.allocation.on_off import on_off_allocation
from baselines.allocation.problem import Allocation, AllocationProblem


def switched(problem: AllocationProblem, choice: np.ndarray) -> Allocation:
    """The best on/off power of given sub-channels, exactly in one cell; several cells are solved one by one.

    Who is off is silent where devices may idle, with full power should it come back, and at least power elsewhere.

    Args:
        problem: One instance with interference.
        choice: (S, N) several choices of a sub-channel for every device; K or above to idle, where that is allowed.

    Returns:
        S allocations.

    Raises:
        InvalidValueError: For devices that take turns.
    """
    idle = choice >= problem.num_subchannels
    many = _copies(problem, len(choice))
    allocations = on_off_allocation(replace(many, available=many.available & ~idle), np.where(idle, 0, choice))
    if problem.may_idle:
        return replace(allocations, power_w=np.full(choice.shape, problem.max_power_w))
    return allocations


def values_bps(problem: AllocationProblem, allocations: Allocation) -> np.ndarray:
    """True sum-rate (S) of several allocations of one instance."""
    return _copies(problem, len(allocations.subchannel)).sum_rate_bps(allocations)


def best_switched(problem: AllocationProblem, choice: np.ndarray) -> Allocation:
    """The best of several choices (S, N) after power control, as one allocation."""
    allocations = switched(problem, choice)
    best = int(values_bps(problem, allocations).argmax())
    parts = (allocations.participate, allocations.subchannel, allocations.power_w)
    return Allocation(*(part[best : best + 1] for part in parts))


def _copies(problem: AllocationProblem, count: int) -> AllocationProblem:
    """One instance several times."""
    arrays = (problem.gain, problem.serving, problem.available)
    gain, serving, available = (np.broadcast_to(array, (count, *array.shape[1:])) for array in arrays)
    return replace(problem, gain=gain, serving=serving, available=available)
