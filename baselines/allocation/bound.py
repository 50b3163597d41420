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

    On one sub-channel of a cell, let q be each device's share of all that is received, noise included. The sum-rate in
    bit/s/Hz is the sum of -log2(1 - q), convex in q. If no share is above 1/2 that is at most 2 bit/s/Hz, with two
    halves. Otherwise the strongest has an SINR of x >= 1 and the others together are worth at most log2(1 + 1/x), all
    that is left beside it; log2(1 + x) + log2(1 + 1/x) rises with x, which is at most the SNR of the strongest alone at
    full power, and counts up to the SINR cap. So a sub-channel is worth at most a function of the strongest device on
    it. Every device can be that on one sub-channel only: the bound is the heaviest matching. On each sub-channel it is
    also at most what exact power control gets of all available devices together. Other cells are left out, they only
    harm.

    In one cell with SNRs well above 1 that is close to the sum of the rates of matched devices alone, which the
    Hungarian allocator reaches. With several cells, or where all must transmit, it can be far above what is possible.

    Where devices take turns, the mean of their rates is at most that of the best: the matching of alone rates is a
    bound.
    """
    if problem.time_share:
        return matched_alone_bps(problem)
    snr = problem.max_power_w * problem.own_gain / problem.radio.noise_w
    strongest = np.maximum(np.minimum(snr, problem.sinr_cap), 1.0)
    worth = np.log2(1 + strongest) + np.log2(1 + 1 / strongest)
    # whoever is not received at all leaves the sub-channel worth nothing
    worth = np.where(snr > 0, np.minimum(worth, _of_all_together(problem)), 0.0)
    subchannel = match(problem, worth)
    won = np.take_along_axis(worth, np.maximum(subchannel, 0)[..., None], axis=2)[..., 0]
    return np.where(subchannel >= 0, won, 0.0).sum(-1) * problem.radio.subchannel_hz


def _of_all_together(problem: AllocationProblem) -> np.ndarray:
    """(B, N, K) best sum-rate in bit/s/Hz of each device's cell on every sub-channel, with all that are available."""
    best = np.zeros(problem.own_gain.shape)
    for b in range(problem.num_instances):
        for cell in np.unique(problem.serving[b]):
            inside = problem.serving[b] == cell
            full_w = problem.max_power_w * problem.own_gain[b, inside & problem.available[b]].T
            best[b, inside] = on_off_power(full_w, np.zeros_like(full_w), problem.radio.noise_w)[1]
    return best
