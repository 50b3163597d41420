"""Alternation of sub-channels given powers and powers given sub-channels."""

from __future__ import annotations

from typing import Literal

import numpy as np

from baselines.allocation.links import Links
from baselines.allocation.matching import match
from baselines.allocation.moves import Moves
from baselines.allocation.power_iteration import Start, starting_power
from baselines.allocation.problem import Allocation, AllocationProblem, Solution, Trace
from baselines.allocation.sca import sca_step

Assignment = Literal["marginal", "matching"]


def alternating_sca(
    problem: AllocationProblem,
    assignment: Assignment = "marginal",
    start: Start = "maximum",
    rng: np.random.Generator | None = None,
    alternations: int = 150,
    tolerance: float | None = None,
) -> Solution:
    """Sub-channels and powers in turn, each alternation with one iteration of successive convex approximation.

    It starts with every device on its best own sub-channel and all at the most power, or, at random, with uniform
    sub-channels and powers.

    ``"marginal"``: given the powers, every device in turn takes the sub-channel on which the exact sum-rate is largest
    with the power that it has (devices without power try with the most, and keep none). Without an SINR cap no
    alternation lowers the sum-rate. In one cell or several.

    ``"matching"``: given the powers, every cell matches its devices to sub-channels by the rate that each would have at
    full power under what other cells send now; the rest takes its best own sub-channel. The matched begin the power
    iteration at the most power. The sum-rate can fall. In one cell what other cells send is nothing, so the assignment
    is found in the first alternation and stays.

    Args:
        problem: Instances with interference.
        assignment: How sub-channels follow from powers.
        start: Maximum or random.
        rng: Source of the random start.
        alternations: How many; all of them are made unless a tolerance is given.
        tolerance: Ends when no sum-rate changes by more than this share.

    Returns:
        One iteration per alternation; a last one makes powers legal that ended between silence and the least power.
    """
    problem.require_interference("alternating sca")
    subchannel = problem.own_gain.argmax(-1)
    links = Links.of(problem, subchannel)
    power_w = starting_power(links, start, rng)
    if start == "random" and rng is not None:
        subchannel = rng.integers(problem.num_subchannels, size=subchannel.shape)
    trace = Trace(problem, Allocation(power_w > 0, subchannel, power_w))
    for _ in range(alternations):
        if assignment == "marginal":
            subchannel = _by_marginal_rate(problem, subchannel, power_w)
        else:
            subchannel, power_w = _by_matching(problem, subchannel, power_w)
        links = Links.of(problem, subchannel)
        power_w = sca_step(links, power_w)
        trace.add(links.allocation(power_w))
        if tolerance is not None and trace.settled(tolerance):
            break
    trace.add(Links.of(problem, subchannel).legal(power_w))
    return trace.solution()


def _by_marginal_rate(problem: AllocationProblem, subchannel: np.ndarray, power_w: np.ndarray) -> np.ndarray:
    """Sub-channels (B, N) after every device has had its turn."""
    moves = Moves(problem, Allocation(power_w > 0, subchannel, power_w))
    rows = np.arange(problem.num_instances)
    for device in moves.order().T:
        before, present_w = moves.subchannel[rows, device], moves.power_w[rows, device]
        moves.silence(device)
        trial_w = np.where(present_w > 0, present_w, problem.max_power_w)
        worth = moves.worth(device, trial_w[:, None])[..., 0]
        best = worth.argmax(1)
        moves.move(device, np.where(worth[rows, best] > worth[rows, before], best, before), present_w)
    return moves.subchannel


def _by_matching(
    problem: AllocationProblem, subchannel: np.ndarray, power_w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sub-channels (B, N), and powers with the matched at the most."""
    shape = (problem.num_instances, problem.num_cells, problem.num_subchannels)
    links = Links.of(problem, subchannel)
    of_own_cell = np.bincount(links.own_slot.ravel(), (power_w * links.own).ravel(), minlength=np.prod(shape))
    others = (links.received(power_w) - of_own_cell).reshape(shape)
    rows = np.arange(problem.num_instances)[:, None]
    signal = problem.max_power_w * problem.own_gain / problem.radio.noise_w
    matched = match(problem, np.log2(1 + signal / np.maximum(others[rows, problem.serving], 1.0)))
    power_w = np.where(matched >= 0, links.high_w, power_w)
    return np.where(matched >= 0, matched, problem.own_gain.argmax(-1)), power_w
