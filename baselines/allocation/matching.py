"""One device to each sub-channel of a cell, with the heaviest sum of values."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from baselines.allocation.problem import AllocationProblem


def match(problem: AllocationProblem, value: np.ndarray, closed: int | None = None) -> np.ndarray:
    """The heaviest matching of the available devices of every cell to its sub-channels, by the Hungarian method.

    Args:
        problem: Instances; cells are matched one by one.
        value: (B, N, K) what a device on a sub-channel is worth.
        closed: A sub-channel that nobody gets.

    Returns:
        (B, N) sub-channel of each device, -1 for those that get none.
    """
    columns = np.array([k for k in range(problem.num_subchannels) if k != closed], dtype=int)
    subchannel = np.full(problem.serving.shape, -1)
    for b in range(problem.num_instances):
        for cell in range(problem.num_cells):
            members = np.flatnonzero((problem.serving[b] == cell) & problem.available[b])
            rows, chosen = linear_sum_assignment(value[b][np.ix_(members, columns)], maximize=True)
            subchannel[b, members[rows]] = columns[chosen]
    return subchannel
