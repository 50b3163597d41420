"""What no allocation can exceed."""

from __future__ import annotations

import numpy as np

from baselines.allocation.matching import match
from baselines.allocation.on_off import on_off_power
from baselines.allocation.problem import AllocationProblem
from qfl_envs.system.network import radio as physics


def best_alone_bps(problem: AllocationProblem) -> np.ndarray:
    """Sum-rate (B) if the best device of each cell had each sub-channel for itself, at full power and unharmed.

    It bounds allocations with at most one device on a sub-channel of a cell; one device may be best on several.
    """
    audible = np.where(problem.available[..., None, None], problem.gain, 0.0)
    return physics.best_alone_bps(problem.radio, audible, problem.serving)


def matched_alone_bps(problem: AllocationProblem) -> np.ndarray:
    """The same where every device has one sub-channel: the heaviest matching of alone rates in every cell.

    In one cell this is the optimum of all allocations with at most one device on a sub-channel.
    """
    rate_bps = problem.alone_rate_bps()
    subchannel = match(problem, rate_bps)
    won = np.take_along_axis(rate_bps, np.maximum(subchannel, 0)[..., None], axis=2)[..., 0]
    return np.where(subchannel >= 0, won, 0.0).sum(-1)


def upper_bound_bps(problem: AllocationProblem) -> np.ndarray:
    """Sum-rate (B) that no allocation exceeds, whatever number of devices share a sub-channel.

    Every sub-channel of every cell has all available devices of the cell to choose from, as if each could transmit on
    all of them, and no other cell interferes; power on it is then exact. Where devices take turns, the mean of their
    rates is at most the best one's.

    With an SINR cap c, sub-channels are worth at most log2(1 + c) + log2(1 + 1/c): with q_i the share of device i in
    all that is received, noise included, the sum of log2(1 + SINR) is that of -log2(1 - q_i), convex in q. If one has
    an SINR of at least 1, the others have together at most what is left beside it; if none has, it is at most 2 bit/s/Hz,
    with two halves. For c >= 1 both are within this value.

    Args:
        problem: Instances; that devices may have to transmit is not counted, which keeps it a bound.
    """
    if problem.time_share:
        return best_alone_bps(problem)
    cap = problem.sinr_cap
    ceiling = np.log2(1 + cap) + np.log2(1 + 1 / cap) if cap >= 1 else np.inf
    bound = np.zeros(problem.num_instances)
    for b in range(problem.num_instances):
        for cell in range(problem.num_cells):
            members = (problem.serving[b] == cell) & problem.available[b]
            full_w = problem.max_power_w * problem.own_gain[b, members].T
            efficiency = on_off_power(full_w, np.zeros_like(full_w), problem.radio.noise_w)[1]
            bound[b] += np.minimum(efficiency, ceiling).sum()
    return bound * problem.radio.subchannel_hz
