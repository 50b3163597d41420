"""Exact power control on sub-channels of one cell, where interference is treated as noise.

The sum-rate is then largest at a point where every device has either its most or its least power, and those at full
power are the ones received best (Inaltekin & Hanly 2012, "Optimality of binary power control in a single cell via
majorization", arXiv 1105.5861). So the best of N + 1 prefixes is the optimum.
"""

from __future__ import annotations

import numpy as np

from baselines.allocation.problem import Allocation, AllocationProblem


def on_off_power(full_w: np.ndarray, least_w: np.ndarray, noise_w: float) -> tuple[np.ndarray, np.ndarray]:
    """Who transmits at full power.

    Args:
        full_w: (..., N) power received from each device at full power; 0 for devices on other sub-channels.
        least_w: (..., N) power received from each at least power, or 0 where devices may be silent.
        noise_w: Noise power.

    Returns:
        ``on`` (..., N) bool, and the sum of log2(1 + SINR) (...) that results.
    """
    order = np.argsort(-full_w, axis=-1, kind="stable")
    high, low = (np.take_along_axis(power, order, axis=-1) for power in (full_w, least_w))
    n = full_w.shape[-1]
    # row m of the table: the m best received at full power, the others at least power
    is_on = np.arange(n) < np.arange(n + 1)[:, None]
    received = np.where(is_on, high[..., None, :], low[..., None, :])
    total = received.sum(-1, keepdims=True) + noise_w
    rates = np.log2(total / (total - received)).sum(-1)
    best = rates.argmax(-1)
    on = np.empty(full_w.shape, dtype=bool)
    np.put_along_axis(on, order, np.arange(n) < best[..., None], axis=-1)
    return on & (full_w > 0), np.take_along_axis(rates, best[..., None], axis=-1)[..., 0]


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
    rows = np.arange(problem.num_instances)[:, None]
    slot = (rows * problem.num_cells + problem.serving) * problem.num_subchannels + subchannel
    on = np.zeros(slot.shape, dtype=bool)
    audible = np.flatnonzero(full_w)
    for members in _groups_of_one_size(slot.ravel()[audible]):
        received_w = full_w.ravel()[audible[members]]
        on.flat[audible[members]] = on_off_power(received_w, least_share * received_w, problem.radio.noise_w)[0]
    participate = on if problem.may_idle else problem.available
    return Allocation(participate, subchannel, np.where(on, problem.max_power_w, problem.min_power_w))


def _groups_of_one_size(label: np.ndarray) -> list[np.ndarray]:
    """Indices (groups, size) of the entries of equal label, groups of one size in one array."""
    order = np.argsort(label, kind="stable")
    _, start, size = np.unique(label[order], return_index=True, return_counts=True)
    return [order[start[size == s][:, None] + np.arange(s)] for s in np.unique(size)]
