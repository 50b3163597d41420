"""Successive convex approximation of the powers on given sub-channels.

On one sub-channel of a cell with M devices that are received with powers x, the sum-rate is a difference of concave
functions, M log(sum_j x_j + s) - sum_i log(sum_{j != i} x_j + s), where s is noise and what other cells send. An
iteration replaces the second sum by its tangent at the present powers. The rest is concave, below the sum-rate and
equal to it at the present powers, and its maximum over a box has a closed form: devices in ascending order of their
slope c are filled up to where M / (sum_j x_j + s) = c. So every iteration gains, and a point where none does is
stationary.

With several cells, one cell after the other has its turn. The rates of the other cells are convex in what they receive
of it, so their tangent is below them as well, and adds a price to the slopes.
"""

from __future__ import annotations

import numpy as np

from baselines.allocation.links import Links
from baselines.allocation.power_iteration import Start, iterate_powers
from baselines.allocation.problem import AllocationProblem, Solution


def sca(
    problem: AllocationProblem,
    subchannel: np.ndarray,
    start: Start = "maximum",
    rng: np.random.Generator | None = None,
    iterations: int = 100,
    tolerance: float = 1e-6,
) -> Solution:
    """Powers on given sub-channels.

    The SINR cap is left out of the approximation; without one, no iteration but the last lowers the sum-rate.

    Arguments and result are those of :func:`baselines.allocation.power_iteration.iterate_powers`.
    """
    problem.require_interference("sca")
    return iterate_powers(problem, subchannel, sca_step, start, rng, iterations, tolerance)


def sca_step(links: Links, power_w: np.ndarray) -> np.ndarray:
    """One iteration from powers (B, N): a turn of every cell."""
    for cell in range(links.problem.num_cells):
        power_w = np.where(links.problem.serving == cell, _cell_step(links, power_w), power_w)
    return power_w


def _cell_step(links: Links, power_w: np.ndarray) -> np.ndarray:
    """Powers (B, N) that maximise the approximation of a cell while the others keep theirs, for every cell at once."""
    signal = power_w * links.own
    total = links.received(power_w)[links.own_slot]
    interference = np.maximum(total - signal, 1.0)
    counts = (links.own > 0) & (links.high_w > 0)
    own = np.where(counts, links.own, 1.0)
    # slope per unit of power received in the own cell: what the other devices there lose ...
    each = np.where(counts, 1 / interference, 0.0)
    slope = links.of_own_slot(each) - each
    if links.problem.num_cells > 1:
        # ... and those of other cells
        loss = 1 / interference - 1 / total
        slope = slope + (links.price(loss) - links.own * links.of_own_slot(loss)) / own
    least, room = links.low_w * own, (links.high_w - links.low_w) * own
    # what is received before anything is filled in: noise, other cells and the least powers
    floor = total + links.of_own_slot(np.where(counts, least, 0.0) - signal)
    level = np.full(slope.shape, np.inf)
    np.divide(links.of_own_slot(counts), slope, out=level, where=slope > 0)
    fill = np.clip(level - floor - links.cumulated(np.where(counts, room, 0.0), slope), 0.0, room)
    return np.where(counts, np.clip((least + fill) / own, links.low_w, links.high_w), links.low_w)
