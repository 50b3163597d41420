"""Simulated annealing in the one-hot space: every state is a valid choice, no penalty holds it together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from baselines.allocation.icm import OneHotState, icm, rest_choice
from baselines.allocation.one_hot import OneHotQuadratic


def anneal(
    problem: OneHotQuadratic,
    rng: np.random.Generator,
    sweeps: int = 50,
    hot: float = 3.0,
    cold: float = 0.05,
) -> Iterator[np.ndarray]:
    """Heat-bath annealing with exchanges.

    Every device in turn draws its option from the Boltzmann distribution given the others, then, in the same way, one
    of all devices to exchange options with, or itself. Without exchanges a device could only take another's place over
    a barrier of a whole rate, and the search would freeze at once. Temperatures fall geometrically; then come sweeps of
    iterated conditional modes, which end in a local minimum.

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
    for temperature in np.geomspace(hot, cold, sweeps):
        # the option with the least energy less Gumbel noise is a draw from the Boltzmann distribution
        option_noise = temperature * rng.gumbel(size=(devices, instances, options))
        for turn in range(devices):
            device = np.full(instances, turn)
            state.change(device, (state.fields[:, :, turn] - option_noise[turn]).argmin(1))
            partner = (_exchange_energies(state, turn) - temperature * rng.gumbel(size=(instances, devices))).argmin(1)
            mine, theirs = state.choice[:, turn].copy(), state.choice[state.rows, partner]
            state.change(device, theirs)
            state.change(partner, mine)
        yield state.choice.copy()
    yield from icm(problem, state.choice)


def _exchange_energies(state: OneHotState, device: int) -> np.ndarray:
    """(B, M) what the energy gains if a device exchanges options with another; 0 for itself and equal options."""
    theirs = state.choice
    mine = theirs[:, device]
    rows = state.rows
    of_device = state.fields[:, :, device]
    each = np.arange(theirs.shape[1])
    gained = np.take_along_axis(of_device, theirs, axis=1) - of_device[rows, mine][:, None]
    gained += state.fields[rows, mine] - state.fields[rows[:, None], theirs, each]
    # each finds the other gone from where it goes
    pair = state.pair[:, device]
    gained -= pair[rows, mine] + pair[rows[:, None], theirs, each]
    return np.where(theirs == mine[:, None], 0.0, gained)
