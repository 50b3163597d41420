"""Simulated annealing in the one-hot space: every state is a valid choice, no penalty holds it together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from baselines.allocation.icm import OneHotState, icm, rest_choice
from baselines.allocation.one_hot import OneHotQuadratic


def anneal(
    problem: OneHotQuadratic,
    rng: np.random.Generator,
    sweeps: int = 200,
    hot: float = 4.0,
    cold: float = 0.2,
) -> Iterator[np.ndarray]:
    """Heat-bath annealing: every device in turn draws its option from the Boltzmann distribution given the others.

    Temperatures fall geometrically; then come sweeps at temperature zero, which end in a local minimum.

    Args:
        problem: Any one-hot quadratic problem.
        rng: Source of the draws.
        sweeps: Turns of everyone at a temperature above zero.
        hot: First temperature, in the unit of the energy.
        cold: Last one.

    Yields:
        The choice (B, M) after every sweep.
    """
    state = OneHotState(problem, rest_choice(problem))
    instances, devices, options = problem.linear.shape
    rows = np.arange(instances)
    for temperature in np.geomspace(hot, cold, sweeps):
        # the option with the least field under Gumbel noise is a draw from the Boltzmann distribution
        noise = temperature * rng.gumbel(size=(devices, instances, options))
        for device in range(devices):
            option = (state.fields[rows, device] - noise[device]).argmin(1)
            state.change(np.full(instances, device), option)
        yield state.choice.copy()
    yield from icm(problem, state.choice)
