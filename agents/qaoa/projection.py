"""The quadratic problem of who should be on which sub-channel when power is switched on and off afterwards.

Once power is controlled, a sub-channel of a cell is worth about the rate of the best device that was put on it, alone:
who else is there is switched off. Counting interference in pairs instead charges a crowd many times over, so that from
a uniform start, with N / K devices on every sub-channel, everyone seems to be in everyone's way.

So the true worth, the largest rate among those present, is projected onto terms of one and two devices. Let every
device be on a sub-channel with probability q = 1/K, as in the uniform start, and sort by rate, r_1 >= r_2 >= ...; with
G_i the expected worth of devices i + 1, i + 2, ..., device i alone adds d_i = (1 - q)^(i-1) (r_i - G_i) in the mean,
and two together d_j / (1 - q) less than both alone, where j is the weaker. This is the least-squares projection under
the uniform start (Hoeffding's decomposition, of which all higher terms are left out).
"""

from __future__ import annotations

import numpy as np

from baselines.allocation.one_hot import OneHotQuadratic
from baselines.allocation.problem import AllocationProblem


def switched_qubo(problem: AllocationProblem, held_bps: np.ndarray | None = None) -> OneHotQuadratic:
    """The projected problem, whose options are the K sub-channels.

    Cells are seen as if alone: interference between them is left to what comes after.

    Args:
        problem: B instances with interference.
        held_bps: (B, C, K) rate that each sub-channel has already; only what is above it counts.

    Returns:
        Energies in bit/s/Hz.

    Raises:
        InvalidValueError: For devices that take turns.
    """
    problem.require_interference("QAOA")
    rates = problem.alone_rate_bps() / problem.radio.subchannel_hz
    instances, devices, subchannels = rates.shape
    linear, pair = np.zeros(rates.shape), np.zeros((instances, devices, *rates.shape[1:]))
    for b in range(instances):
        for cell in np.unique(problem.serving[b]):
            held = 0.0 if held_bps is None else held_bps[b, cell] / problem.radio.subchannel_hz
            members = np.flatnonzero(problem.serving[b] == cell)
            of_cell = project(np.maximum(rates[b, members] - held, 0.0))
            linear[b, members] = of_cell[0]
            pair[b, members[:, None], members] = of_cell[1]
    return OneHotQuadratic(linear, pair)


def project(rates: np.ndarray, present: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Terms of minus the sum over sub-channels of the largest rate present.

    Args:
        rates: (M, K) of each device alone on each sub-channel, at least 0.
        present: Probability, below 1, that a device is on a sub-channel; that of the uniform start if not given.

    Returns:
        ``linear`` (M, K) and ``pair`` (M, M, K), without the constant.
    """
    devices, subchannels = rates.shape
    # a single sub-channel has everyone for certain, and nothing to choose
    present = 1 / max(subchannels, 2) if present is None else present
    order = np.argsort(-rates, axis=0, kind="stable")
    falling = np.take_along_axis(rates, order, 0)
    below = np.zeros((devices + 1, subchannels))
    for place in reversed(range(devices)):
        below[place] = present * falling[place] + (1 - present) * below[place + 1]
    adds = (1 - present) ** np.arange(devices)[:, None] * (falling - below[1:])
    rank = np.argsort(order, axis=0)
    weaker = np.maximum(rank[:, None], rank[None])
    pair = np.take_along_axis(adds / (1 - present), weaker.reshape(-1, subchannels), 0).reshape(weaker.shape)
    pair[np.arange(devices), np.arange(devices)] = 0.0
    return -np.take_along_axis(adds, rank, 0) - present * pair.sum(1), pair
