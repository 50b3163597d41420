"""Weighted minimum mean square error power control, single antennas (Shi et al. 2011, IEEE TSP 59(9))."""

from __future__ import annotations

import numpy as np

from baselines.allocation.links import Links
from baselines.allocation.power_iteration import Start, iterate_powers
from baselines.allocation.problem import AllocationProblem, Solution


def wmmse(
    problem: AllocationProblem,
    subchannel: np.ndarray,
    start: Start = "maximum",
    rng: np.random.Generator | None = None,
    iterations: int = 100,
    tolerance: float = 1e-6,
) -> Solution:
    """Powers on given sub-channels, in one cell or several.

    Amplitudes b, receivers f and weights w are each optimal given the others in turn:
    f = h b / (sum of all that is received + noise), w = 1 / (1 - f b h), and b = w f h / (sum over the receivers j of
    w_j f_j^2 h_j^2), clipped to its bounds, where h_j is a device's amplitude gain to receiver j and h to its own.

    The SINR cap is left out; without one, no iteration but the last lowers the sum-rate, and it ends near a stationary
    point. A device that reaches power 0 stays there, so the start matters.

    Arguments and result are those of :func:`baselines.allocation.power_iteration.iterate_powers`.
    """
    problem.require_interference("wmmse")
    return iterate_powers(problem, subchannel, wmmse_step, start, rng, iterations, tolerance)


def wmmse_step(links: Links, power_w: np.ndarray) -> np.ndarray:
    """One iteration from powers (B, N)."""
    amplitude_gain = np.sqrt(links.own)
    total = links.received(power_w)[links.own_slot]
    receiver = amplitude_gain * np.sqrt(power_w) / total
    # 1 - f b h is interference / total, which does not cancel where the signal is strong
    weight = total / np.maximum(total - power_w * links.own, 1.0)
    cost = links.price(weight * receiver**2)
    amplitude = np.zeros_like(power_w)
    np.divide(weight * receiver * amplitude_gain, cost, out=amplitude, where=cost > 0)
    return np.clip(amplitude**2, links.low_w, links.high_w)
