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


def one_each_bps(problem: AllocationProblem, choice: np.ndarray) -> np.ndarray:
    """Sum-rate (S) with the best received device of every sub-channel at full power and all others at least power.

    Close to what :func:`switched` reaches, and quicker by far; cells are seen as if alone.

    Args:
        problem: One instance with interference.
        choice: As in :func:`switched`.
    """
    subchannels = problem.num_subchannels
    full_w = np.where(problem.available[0, :, None], problem.max_power_w * problem.own_gain[0], 0.0)
    # one more option, of who idles and is not received
    full_w = np.pad(full_w, ((0, 0), (0, 1)))
    chosen = np.minimum(choice, subchannels)
    received_w = full_w[np.arange(problem.num_devices), chosen]
    row, slot = np.arange(len(choice))[:, None], problem.serving[0] * (subchannels + 1) + chosen
    best_w, all_w = (np.zeros((len(choice), problem.num_cells * (subchannels + 1))) for _ in range(2))
    np.maximum.at(best_w, (row, slot), received_w)
    np.add.at(all_w, (row, slot), received_w)
    least_share = 0.0 if problem.may_idle else problem.min_power_w / problem.max_power_w
    sinr = best_w / (problem.radio.noise_w + least_share * (all_w - best_w))
    value: np.ndarray = problem.radio.subchannel_hz * np.log2(1 + np.minimum(sinr, problem.sinr_cap)).sum(1)
    return value


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
