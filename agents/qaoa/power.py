"""Who transmits at full power, once the sub-channels are chosen: the classical step between and after the circuits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from baselines.allocation.problem import Allocation, AllocationProblem
from baselines.on_off import on_off_power


def switched(problem: AllocationProblem, choice: np.ndarray) -> Allocation:
    """The best on/off power of given sub-channels, exactly in one cell; several cells are solved one by one.

    Who is off is silent where devices may idle, with full power should it come back, and at least power elsewhere.
    Devices that take turns are all on.

    Args:
        problem: One instance.
        choice: (S, N) several choices of a sub-channel for every device; K or above to idle.

    Returns:
        S allocations.
    """
    subchannels, bins = problem.num_subchannels, problem.num_cells * problem.num_subchannels
    member = (choice < subchannels) & problem.available
    channel = np.where(choice < subchannels, choice, 0)
    if problem.time_share:
        return Allocation(member, channel, np.full(choice.shape, problem.max_power_w))
    # members of one sub-channel and cell side by side: the tables of the power control grow with the largest group, not N
    rows, devices = np.nonzero(member)
    slot = (rows * problem.num_cells + problem.serving[0, devices]) * subchannels + channel[rows, devices]
    order = np.argsort(slot, kind="stable")
    rows, devices, slot = rows[order], devices[order], slot[order]
    sizes = np.bincount(slot, minlength=len(choice) * bins)
    place = np.arange(len(slot)) - (np.cumsum(sizes) - sizes)[slot]
    gain = np.zeros((len(sizes), int(sizes.max(initial=1))))
    gain[slot, place] = problem.own_gain[0, devices, channel[rows, devices]]
    least_w = 0.0 if problem.may_idle else problem.min_power_w
    on, _ = on_off_power(problem.max_power_w * gain, least_w * gain, problem.radio.noise_w)
    is_on = np.zeros(choice.shape, dtype=bool)
    is_on[rows, devices] = on[slot, place]
    participate = is_on if problem.may_idle else member
    is_full = is_on | problem.may_idle
    return Allocation(participate, channel, np.where(is_full, problem.max_power_w, problem.min_power_w))


def values_bps(problem: AllocationProblem, allocations: Allocation) -> np.ndarray:
    """True sum-rate (S) of several allocations of one instance."""
    count = len(allocations.subchannel)
    arrays = (problem.gain, problem.serving, problem.available)
    gain, serving, available = (np.broadcast_to(array, (count, *array.shape[1:])) for array in arrays)
    many = replace(problem, gain=gain, serving=serving, available=available)
    return many.sum_rate_bps(allocations)


def best_switched(problem: AllocationProblem, choice: np.ndarray) -> tuple[Allocation, float]:
    """The best of several choices (S, N) after power control, with a leading axis of one, and its sum-rate."""
    allocations = switched(problem, choice)
    values = values_bps(problem, allocations)
    best = int(values.argmax())
    parts = (allocations.participate, allocations.subchannel, allocations.power_w)
    return Allocation(*(part[best : best + 1] for part in parts)), float(values[best])
