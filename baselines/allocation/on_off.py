"""Exact power control on sub-channels of one cell, where interference is treated as noise.

The sum-rate is then largest at a point where every device has either its most or its least power, and those at full
power are the ones received best (Inaltekin & Hanly 2012, "Optimality of binary power control in a single cell via
majorization", arXiv 1105.5861). So the best of N + 1 prefixes is the optimum.
"""

from __future__ import annotations

import math

import numpy as np

from baselines.allocation.problem import Allocation, AllocationProblem
from qfl_envs.compiled import compiled, ready


def on_off_power(full_w: np.ndarray, least_w: np.ndarray, noise_w: float) -> tuple[np.ndarray, np.ndarray]:
    """Who transmits at full power.

    Args:
        full_w: (..., N) power received from each device at full power; 0 for devices on other sub-channels.
        least_w: (..., N) power received from each at least power, or 0 where devices may be silent.
        noise_w: Noise power.

    Returns:
        ``on`` (..., N) bool, and the sum of log2(1 + SINR) (...) that results.
    """
    *shape, n = full_w.shape
    order = np.argsort(-full_w, axis=-1, kind="stable")
    high, low = (
        ready(np.take_along_axis(power, order, axis=-1)).reshape(math.prod(shape), n) for power in (full_w, least_w)
    )
    best, bits = np.empty(len(high), dtype=np.int64), np.empty(len(high))
    for row in range(len(high)):
        best[row], bits[row] = _best_prefix(high[row], low[row], noise_w)
    on = np.empty(full_w.shape, dtype=bool)
    np.put_along_axis(on, order, np.arange(n) < best.reshape(*shape, 1), axis=-1)
    return on & (full_w > 0), bits.reshape(shape)


@compiled
def _best_prefix(high: np.ndarray, low: np.ndarray, noise_w: float) -> tuple[int, float]:
    """How many of the best received transmit at full power, and the sum of log2(1 + SINR) that results.

    The rates of n devices add up to minus log2 of the product of 1 - share. The shares of what is received add up to
    1 at most, so that the product does not vanish and one logarithm does.

    Args:
        high: (N) received at full power, descending.
        low: (N) received at least power, in the same order.
        noise_w: Noise power.
    """
    best, bits = 0, -1.0
    total = low.sum() + noise_w
    for prefix in range(len(high) + 1):
        if prefix > 0:
            total += high[prefix - 1] - low[prefix - 1]
        left = 1.0
        for n in range(prefix):
            left *= (total - high[n]) / total
        for n in range(prefix, len(high)):
            left *= (total - low[n]) / total
        value = -math.log2(left)
        if value > bits:
            best, bits = prefix, value
    return best, bits


def on_off_allocation(problem: AllocationProblem, subchannel: np.ndarray) -> Allocation:
    """Best power of every device on the sub-channel that it is given.

    Exact in one cell without an SINR cap, which is left out: with one, some power in between can be slightly better.
    Several cells are solved one by one, as if the others were silent.

    Args:
        problem: Instances with interference.
        subchannel: (B, N).

    Returns:
        Devices at full power, and the others silent or, where they may not idle, at least power.
    """
    problem.require_interference("on/off power")
    own = np.take_along_axis(problem.own_gain, subchannel[..., None], axis=2)[..., 0]
    full_w = np.where(problem.available, problem.max_power_w * own, 0.0)
    least_share = 0.0 if problem.may_idle else problem.min_power_w / problem.max_power_w
    slot = problem.serving * problem.num_subchannels + subchannel
    on = np.zeros(slot.shape, dtype=bool)
    order = np.argsort(-full_w, axis=-1, kind="stable")
    _switch(full_w, least_share, problem.radio.noise_w, slot, order, problem.num_cells * problem.num_subchannels, on)
    participate = on if problem.may_idle else problem.available
    return Allocation(participate, subchannel, np.where(on, problem.max_power_w, problem.min_power_w))


@compiled
def _switch(
    full_w: np.ndarray,
    least_share: float,
    noise_w: float,
    slot: np.ndarray,
    order: np.ndarray,
    num_slots: int,
    on: np.ndarray,
) -> None:
    """Set who is at full power among those that share a slot, a sub-channel of a cell.

    Args:
        full_w: (B, N) received at full power; 0 of who cannot be heard.
        least_share: Least power as a share of full power.
        noise_w: Noise power.
        slot: (B, N) where each device is.
        order: (B, N) devices by descending ``full_w``.
        num_slots: Slots in all.
        on: (B, N) false.
    """
    for b in range(len(full_w)):
        members = np.bincount(slot[b], minlength=num_slots)
        first = members.cumsum() - members
        filled = np.zeros(num_slots, dtype=np.int64)
        device, high = np.empty(len(slot[b]), dtype=np.int64), np.empty(len(slot[b]))
        for n in order[b]:
            if full_w[b, n] > 0.0:
                place = first[slot[b, n]] + filled[slot[b, n]]
                device[place], high[place] = n, full_w[b, n]
                filled[slot[b, n]] += 1
        for s in range(num_slots):
            received = high[first[s] : first[s] + filled[s]]
            best, _ = _best_prefix(received, least_share * received, noise_w)
            for place in range(first[s], first[s] + best):
                on[b, device[place]] = True
