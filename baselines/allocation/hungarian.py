"""One device to each sub-channel by the Hungarian method, then exact on/off power."""

from __future__ import annotations

import numpy as np

from baselines.allocation.matching import match
from baselines.allocation.on_off import on_off_allocation
from baselines.allocation.problem import Allocation, AllocationProblem, Solution, Trace


def hungarian(problem: AllocationProblem) -> Solution:
    """The assignment that is best if everyone were alone, with those added whom the power control lets transmit.

    Devices may idle, one cell: the matching is the optimum among allocations with at most one device on a sub-channel.
    The others then try their best own sub-channel, and power on these sub-channels is exact (see
    :mod:`baselines.allocation.on_off`), which can only add. The optimum of all allocations can be higher, where it pays
    that devices share a sub-channel which they do not have here: by at most 1 bit/s/Hz per sub-channel, and by next to
    nothing where the SNR of the matched is high; :func:`baselines.allocation.bound.upper_bound_bps` bounds it per
    instance.

    Devices must transmit: those without a sub-channel of their own are all put on one, which is sacrificed to them.
    Every sub-channel is tried for that, with the matching of the others and exact power. That is near the optimum, not
    always equal to it: devices without a sub-channel of their own could be spread.

    Several cells are solved one by one, blind to each other.

    Args:
        problem: Instances. Where devices take turns nobody is added to the matching, which in one cell of devices that
            may idle is the optimum.

    Returns:
        One iteration, from a start where nobody (or, if they must, everybody at least power) transmits.
    """
    rate_bps = problem.alone_rate_bps()
    trace = Trace(problem, at_rest(problem))
    if problem.may_idle:
        trace.add(_finish(problem, match(problem, rate_bps), problem.own_gain.argmax(-1)))
        return trace.solution()
    cells = np.eye(problem.num_cells, dtype=bool)[problem.serving]
    users = (cells & problem.available[..., None]).sum(1)
    all_fit = np.take_along_axis(users <= problem.num_subchannels, problem.serving, axis=1)
    best = at_rest(problem)
    if all_fit.any():
        best = _finish(problem, match(problem, rate_bps), np.zeros_like(problem.serving))
    best_bps = np.where(all_fit, np.inf, -np.inf)
    for sacrificed in range(problem.num_subchannels) if not all_fit.all() else ():
        matched = match(problem, rate_bps, closed=sacrificed)
        trial = _finish(problem, matched, np.full_like(matched, sacrificed))
        # (B, N) the sum-rate of the device's cell with the other cells silent, by which each cell takes its own
        value_bps = _cell_rate_bps(problem, trial, cells)
        better = value_bps > best_bps
        best_bps = np.where(better, value_bps, best_bps)
        best = Allocation(
            problem.available,
            np.where(better, trial.subchannel, best.subchannel),
            np.where(better, trial.power_w, best.power_w),
        )
    trace.add(best)
    return trace.solution()


def at_rest(problem: AllocationProblem) -> Allocation:
    """Everyone silent, or at least power where that is not allowed, on the sub-channel with the best own gain."""
    participate = np.zeros_like(problem.available) if problem.may_idle else problem.available
    return Allocation(participate, problem.own_gain.argmax(-1), np.full(problem.serving.shape, problem.min_power_w))


def _finish(problem: AllocationProblem, matched: np.ndarray, otherwise: np.ndarray) -> Allocation:
    """Powers of the matched devices and, where they interfere, of the others on the sub-channels (B, N) given."""
    subchannel = np.where(matched >= 0, matched, otherwise)
    if not problem.time_share:
        return on_off_allocation(problem, subchannel)
    participate = problem.available & (matched >= 0) if problem.may_idle else problem.available
    return Allocation(participate, subchannel, np.full(subchannel.shape, problem.max_power_w))


def _cell_rate_bps(problem: AllocationProblem, allocation: Allocation, cells: np.ndarray) -> np.ndarray:
    """(B, N) for each device the sum-rate of its cell if it were the only one; cells (B, N, C) bool, who is where."""
    value = np.zeros(problem.serving.shape)
    for cell in range(problem.num_cells):
        inside = cells[..., cell]
        alone = Allocation(allocation.participate & inside, allocation.subchannel, allocation.power_w)
        value = np.where(inside, problem.sum_rate_bps(alone)[:, None], value)
    return value
