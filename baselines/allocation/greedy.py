"""One device after the other, each time the one with the largest marginal sum-rate."""

from __future__ import annotations

import numpy as np

from baselines.allocation.best_response import NEGLIGIBLE
from baselines.allocation.hungarian import at_rest
from baselines.allocation.moves import Moves
from baselines.allocation.problem import Allocation, AllocationProblem, Solution, Trace


def greedy(problem: AllocationProblem) -> Solution:
    """Let one device more transmit, the one on that sub-channel that raises the exact sum-rate most, until none does.

    Where devices must transmit, the others follow in the same way, each where it harms least. Power is the most, or,
    where devices must transmit, the least as well. No choice is taken back. In one cell or several, with the SINR cap.

    Args:
        problem: Instances with interference.

    Returns:
        One iteration per device that is let in.
    """
    problem.require_interference("greedy")
    b, n, k = problem.num_instances, problem.num_devices, problem.num_subchannels
    powers = [problem.max_power_w] if problem.may_idle else [problem.min_power_w, problem.max_power_w]
    options = np.tile(powers, (b, 1))
    empty = Allocation(np.zeros_like(problem.available), at_rest(problem).subchannel, np.zeros(problem.serving.shape))
    moves, trace, rows = Moves(problem, empty), Trace(problem, empty), np.arange(b)
    # (B, N, K, L) what each device would add
    worth = np.stack([moves.worth(np.full(b, device), options) for device in range(n)], axis=1)
    is_open = problem.available.copy()
    for _ in range(n):
        flat = np.where(is_open[..., None, None], worth, -np.inf).reshape(b, -1)
        best = flat.argmax(1)
        lets_in = flat[rows, best] > (NEGLIGIBLE if problem.may_idle else -np.inf)
        if not lets_in.any():
            break
        device, channel, level = np.unravel_index(best, (n, k, len(powers)))
        moves.move(device, channel, np.where(lets_in, options[rows, level], 0.0))
        is_open[rows, device] &= ~lets_in
        worth[rows, :, channel] = moves.worth_on(channel, powers)
        trace.add(moves.allocation())
    return trace.solution()
