"""Each device in turn takes its best sub-channel and power."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from baselines.allocation.hungarian import at_rest
from baselines.allocation.moves import Moves
from baselines.allocation.problem import Allocation, AllocationProblem, Solution, Trace
from qfl_envs.system.network.radio import dbm_to_w

NEGLIGIBLE = 1e-9
"""Gain in bit/s/Hz that is no reason to move: it may be rounding."""


def best_response(
    problem: AllocationProblem,
    levels_w: Sequence[float] | None = None,
    start: Allocation | None = None,
    sweeps: int = 30,
) -> Solution:
    """Coordinate ascent on the exact objective, in one cell or several, with the SINR cap.

    In a sweep every device, the best received first, takes the sub-channel and power level, or silence where it may
    idle, with the largest sum-rate while the others stay as they are. No sweep lowers the sum-rate; at the end no
    device alone can raise it. What takes two devices to move at once, e.g. to swap sub-channels, is out of its reach.

    Args:
        problem: Instances with interference.
        levels_w: Powers that a device can have; four from the least to the most, equally spaced in dB, if not given.
        start: Where to begin; everyone silent, or at least power if that is not allowed, if not given.
        sweeps: Most of them.

    Returns:
        One iteration per sweep.
    """
    problem.require_interference("best-response")
    limits = problem.radio
    if levels_w is None:
        levels_w = dbm_to_w(np.linspace(limits.min_power_dbm, limits.max_power_dbm, 4)).tolist()
    options = np.tile(levels_w, (problem.num_instances, 1))
    start = at_rest(problem) if start is None else start
    moves, trace = Moves(problem, start), Trace(problem, start)
    order = moves.order()
    for _ in range(sweeps):
        moved = sum(_respond(moves, device, options) for device in order.T)
        moves.recount()
        trace.add(_complete(moves.allocation(), problem))
        if not moved:
            break
    return trace.solution()


def _respond(moves: Moves, device: np.ndarray, options: np.ndarray) -> int:
    """Best response of one device (B) per instance; returns how many moved."""
    problem, rows = moves.problem, np.arange(len(device))
    subchannel, power_w = moves.subchannel[rows, device], moves.power_w[rows, device]
    moves.silence(device)
    # the present choice is an option, so that a start with other powers than the levels is never left for less
    powers = np.concatenate([options, power_w[:, None]], axis=1)
    worth = moves.worth(device, powers)
    stay = worth[rows, subchannel, -1]
    flat = worth[..., :-1].reshape(len(device), -1)
    best = flat.argmax(1)
    k, level = np.divmod(best, options.shape[1])
    gain = flat[rows, best]
    next_w = options[rows, level]
    if problem.may_idle:
        next_w = np.where(gain > NEGLIGIBLE, next_w, 0.0)
        gain = np.maximum(gain, 0.0)
    able = problem.available[rows, device]
    leave = able & (gain > stay + NEGLIGIBLE)
    moves.move(device, np.where(leave, k, subchannel), np.where(leave, next_w, power_w))
    return int(leave.sum())


def _complete(allocation: Allocation, problem: AllocationProblem) -> Allocation:
    """With everybody in who must transmit."""
    participate = allocation.participate if problem.may_idle else problem.available
    return Allocation(participate, allocation.subchannel, allocation.power_w)
