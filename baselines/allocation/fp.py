"""Fractional programming of powers, and of powers and schedule.

Closed-form fractional programming (Shen & Yu 2018, "Fractional programming for communication systems", part I for
powers, part II for uplink scheduling by matching, IEEE TSP 66(10)). The same group's FPLinQ is its form for links that
each have a receiver of their own. With SINRs gamma and multipliers y held, what is left to maximise lies below the
sum-rate and touches it at the present point, so every iteration gains. The SINR cap is left out.
"""

from __future__ import annotations

import numpy as np

from baselines.allocation.links import Links
from baselines.allocation.matching import match
from baselines.allocation.power_iteration import Start, iterate_powers
from baselines.allocation.problem import Allocation, AllocationProblem, Solution, Trace
from qfl_envs.errors import InvalidValueError


def fp(
    problem: AllocationProblem,
    subchannel: np.ndarray,
    start: Start = "maximum",
    rng: np.random.Generator | None = None,
    iterations: int = 100,
    tolerance: float = 1e-6,
) -> Solution:
    """Powers on given sub-channels, in one cell or several.

    gamma is the SINR, y = sqrt((1 + gamma) g p) / (sum of all that is received + noise), and p = (y sqrt((1 + gamma) g)
    / (sum over the receivers j of y_j^2 g_j))^2, clipped to its bounds. Without an SINR cap no iteration but the last
    lowers the sum-rate. A device that reaches power 0 stays there, so the start matters.

    Arguments and result are those of :func:`baselines.allocation.power_iteration.iterate_powers`.
    """
    problem.require_interference("fp")
    return iterate_powers(problem, subchannel, fp_step, start, rng, iterations, tolerance)


def fp_step(links: Links, power_w: np.ndarray) -> np.ndarray:
    """One iteration from powers (B, N)."""
    total = links.received(power_w)[links.own_slot]
    # 1 + gamma
    ratio = total / np.maximum(total - power_w * links.own, 1.0)
    multiplier = np.sqrt(ratio * links.own * power_w) / total
    cost = links.price(multiplier**2)
    amplitude = np.zeros_like(power_w)
    np.divide(multiplier * np.sqrt(ratio * links.own), cost, out=amplitude, where=cost > 0)
    return np.clip(amplitude**2, links.low_w, links.high_w)


def fp_matching(problem: AllocationProblem, iterations: int = 100, tolerance: float = 1e-6) -> Solution:
    """Powers and at most one device on every sub-channel of every cell, decided together.

    From the matching of alone rates at full power, with gamma and y held per slot, a device in cell c and on
    sub-channel k would have the power p = (a / d)^2, clipped, with a = y sqrt((1 + gamma) g) and d the sum over cells
    of y^2 g, and be worth 2 a sqrt(p) - d p. The heaviest matching of that is the next schedule. A slot that falls
    silent stays so.

    Args:
        problem: Instances with interference and devices that may idle.
        iterations: Most of them.
        tolerance: Ends when no sum-rate changes by more than this share.

    Raises:
        InvalidValueError: Where every device must transmit.
    """
    problem.require_interference("fp-matching")
    if not problem.may_idle:
        raise InvalidValueError("may_idle", False, "True for the solver 'fp-matching', which leaves devices out")
    subchannel = match(problem, problem.alone_rate_bps())
    power_w = np.where(subchannel >= 0, problem.max_power_w, 0.0)
    subchannel = np.maximum(subchannel, 0)
    trace = Trace(problem, Allocation(power_w > 0, subchannel, power_w))
    for _ in range(iterations):
        subchannel, power_w = _schedule(problem, subchannel, power_w)
        trace.add(Allocation(power_w > 0, subchannel, power_w))
        if trace.settled(tolerance):
            break
    trace.add(Links.of(problem, subchannel).legal(power_w))
    return trace.solution()


def _schedule(problem: AllocationProblem, subchannel: np.ndarray, power_w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Next sub-channels and powers (B, N), of which those without a sub-channel have none."""
    links = Links.of(problem, subchannel)
    shape = (problem.num_instances, problem.num_cells, problem.num_subchannels)
    total = links.received(power_w).reshape(shape)
    signal = np.bincount(links.own_slot.ravel(), (power_w * links.own).ravel(), minlength=total.size).reshape(shape)
    ratio = total / np.maximum(total - signal, 1.0)
    multiplier = np.sqrt(ratio * signal) / total
    rows = np.arange(problem.num_instances)[:, None]
    noise_w = problem.radio.noise_w
    # (B, N, K) of every device on every sub-channel of its cell
    gain = multiplier[rows, problem.serving] * np.sqrt(ratio[rows, problem.serving] * problem.own_gain / noise_w)
    cost = np.einsum("bnck,bck->bnk", problem.gain, multiplier**2) / noise_w
    amplitude = np.zeros_like(gain)
    np.divide(gain, cost, out=amplitude, where=cost > 0)
    amplitude = np.minimum(amplitude, np.sqrt(problem.max_power_w))
    chosen = match(problem, amplitude * (2 * gain - cost * amplitude))
    best = np.take_along_axis(amplitude, np.maximum(chosen, 0)[..., None], axis=2)[..., 0]
    return np.maximum(chosen, 0), np.where(chosen >= 0, best**2, 0.0)
