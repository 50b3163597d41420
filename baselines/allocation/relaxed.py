"""Relax and round: successive convex approximation of relaxed assignments, as an article might do it.

The weak form, kept so that a gain over "SCA" can be traced to the SCA that was meant.
"""

from __future__ import annotations

import numpy as np

from baselines.allocation.links import Links
from baselines.allocation.problem import Allocation, AllocationProblem, Solution, Trace


def relaxed_sca(problem: AllocationProblem, iterations: int = 50, inner: int = 5, tolerance: float = 1e-6) -> Solution:
    """Devices split their power over all sub-channels until the end, when each goes to the one with most of it.

    The powers p[n, k] >= 0 of a device add up to at most the most power (exactly to it where devices must transmit). As
    in :mod:`baselines.allocation.sca`, the subtracted logarithms are replaced by their tangents. The concave rest is
    raised by steps that split each logarithm of a sum by Jensen's inequality, each with a closed form but for the price
    of a device's power. The start splits the most power evenly.

    In one cell or several, without the SINR cap. The relaxed sum-rate never falls, but nothing in it keeps a device on
    one sub-channel, and rounding loses what it loses: that is reported, not repaired.

    Args:
        problem: Instances with interference.
        iterations: Most linearisations.
        inner: Steps for each.
        tolerance: Ends when no relaxed sum-rate grows by more than this share.

    Returns:
        Iterates as they would be if rounded at once: their true sum-rates, which can fall.
    """
    problem.require_interference("sca-relaxed")
    power_w = even_split(problem)
    trace = Trace(problem, _rounded(problem, power_w))
    value = relaxed_efficiency(problem, power_w)
    for _ in range(iterations):
        power_w = relaxed_step(problem, power_w, inner)
        before, value = value, relaxed_efficiency(problem, power_w)
        trace.add(_rounded(problem, power_w))
        if (value - before <= tolerance * before).all():
            break
    return trace.solution()


def even_split(problem: AllocationProblem) -> np.ndarray:
    """(B, N, K) the most power of every available device, in equal parts."""
    each_w = problem.max_power_w / problem.num_subchannels
    return np.broadcast_to(np.where(problem.available[..., None], each_w, 0.0), problem.own_gain.shape).copy()


def relaxed_efficiency(problem: AllocationProblem, power_w: np.ndarray) -> np.ndarray:
    """(B) sum over devices and sub-channels of log2(1 + SINR) with powers (B, N, K)."""
    received, signal = _received(problem, power_w)
    total = _at_own_cell(problem, received)
    return np.log2(total / np.maximum(total - signal, 1.0)).sum((1, 2))


def relaxed_step(problem: AllocationProblem, power_w: np.ndarray, inner: int) -> np.ndarray:
    """One linearisation at powers (B, N, K), and steps towards the maximum of what it leaves."""
    gain = problem.gain / problem.radio.noise_w
    cells = np.eye(problem.num_cells)[problem.serving] * problem.available[..., None]
    users = cells.sum(1)[..., None]
    received, signal = _received(problem, power_w)
    rate_of_loss = 1 / np.maximum(_at_own_cell(problem, received) - signal, 1.0)
    of_cells = np.einsum("bnc,bnk->bck", cells, rate_of_loss)
    own_loss = problem.own_gain / problem.radio.noise_w * rate_of_loss
    slope = np.maximum(np.einsum("bnck,bck->bnk", gain, of_cells) - own_loss, 0.0)
    for _ in range(inner):
        claim = power_w * np.einsum("bnck,bck->bnk", gain, users / received)
        power_w = _within_budget(problem, claim, slope)
        received = _received(problem, power_w)[0]
    return power_w


def _within_budget(problem: AllocationProblem, claim: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Powers p (B, N, K) that maximise sum claim log p - slope p with the most power for each device.

    They are claim / (slope + price), with a price of each device's power that bisection finds.
    """
    total_w = problem.max_power_w
    high = claim.sum(-1) / total_w + 1e-30
    low = np.zeros_like(high) if problem.may_idle else -slope.min(-1)
    for _ in range(50):
        price = (low + high) / 2
        spent = (claim / np.maximum(slope + price[..., None], 1e-30)).sum(-1)
        low, high = np.where(spent > total_w, price, low), np.where(spent > total_w, high, price)
    # the upper end of the bracket never spends more than there is
    return claim / np.maximum(slope + high[..., None], 1e-30)


def _received(problem: AllocationProblem, power_w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What cells receive on every sub-channel (B, C, K), noise included, and every device's part of it (B, N, K)."""
    noise_w = problem.radio.noise_w
    everything = np.einsum("bnck,bnk->bck", problem.gain, power_w) / noise_w
    return 1.0 + everything, problem.own_gain * power_w / noise_w


def _at_own_cell(problem: AllocationProblem, value: np.ndarray) -> np.ndarray:
    """(B, N, K) of every device's own cell from (B, C, K)."""
    return np.take_along_axis(value, problem.serving[..., None], axis=1)


def _rounded(problem: AllocationProblem, power_w: np.ndarray) -> Allocation:
    """Every device with all its power on the sub-channel that has most of it."""
    return Links.of(problem, power_w.argmax(-1)).legal(power_w.sum(-1))
