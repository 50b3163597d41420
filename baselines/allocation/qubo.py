"""Sub-channels by a minimiser of the quadratic problem, then powers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from baselines.allocation.annealing import anneal
from baselines.allocation.icm import icm, rest_choice
from baselines.allocation.links import Links
from baselines.allocation.one_hot import OneHotQuadratic, allocation_qubo, decode
from baselines.allocation.problem import AllocationProblem, Solution, Trace
from baselines.allocation.sca import sca_step


def qubo_icm(problem: AllocationProblem) -> Solution:
    """Iterated conditional modes, then powers; see :func:`by_qubo`."""
    return by_qubo(problem, icm)


def qubo_annealing(problem: AllocationProblem, rng: np.random.Generator) -> Solution:
    """One-hot simulated annealing, then powers; see :func:`by_qubo`."""
    return by_qubo(problem, lambda quadratic: anneal(quadratic, rng))


def by_qubo(
    problem: AllocationProblem,
    minimise: Callable[[OneHotQuadratic], Iterator[np.ndarray]],
    power_iterations: int = 20,
    tolerance: float = 1e-6,
) -> Solution:
    """Minimise the quadratic problem at full power, then the powers of those who transmit by convex approximation.

    In one cell or several. The quadratic problem counts interference in pairs. Where devices may idle that costs
    little, as hardly ever more than two share a sub-channel; where all must transmit at once it is far from the
    sum-rate, and the answer weak.

    Args:
        problem: Instances with interference.
        minimise: From the quadratic problem to its choices (B, N), one per iteration.
        power_iterations: Most iterations on the powers.
        tolerance: Ends when no sum-rate changes by more than this share.

    Returns:
        The sum-rates of the choices at full power, then of the iterates of the powers. Lower energy can mean less
        sum-rate.
    """
    quadratic = allocation_qubo(problem)
    allocation = decode(problem, rest_choice(quadratic))
    trace = Trace(problem, allocation)
    for choice in minimise(quadratic):
        allocation = decode(problem, choice)
        trace.add(allocation)
    links = Links.of(replace(problem, available=allocation.participate), allocation.subchannel)
    power_w = links.high_w
    for _ in range(power_iterations):
        power_w = sca_step(links, power_w)
        trace.add(links.allocation(power_w))
        if trace.settled(tolerance):
            break
    trace.add(links.legal(power_w))
    return trace.solution()
