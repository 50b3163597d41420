"""Block coordinate descent: a few devices at a time are decided by a circuit, given all the others.

The diagonal of a block is the true sum-rate, not its quadratic form: devices of a block meet only on a common
sub-channel, so that a table of what each sub-channel is worth with each subset of the block on it says everything. On a
processor its terms act on as many devices as the block has; ``order`` cuts them off, 2 for a quadratic problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from agents.qaoa.power import switched, values_bps
from baselines.allocation.problem import Allocation, AllocationProblem
from qfl_envs.errors import InvalidValueError
from qfl_envs.system.network.radio import uplink

MAX_BLOCK = 6
"""Devices of a block; tables have 2^m columns and diagonals (K + 1)^m numbers."""

Solver = Callable[[np.ndarray], np.ndarray]
"""From the diagonal (1, A, ..., A) of a block to the options (m) that it should take."""


def block_cost(
    problem: AllocationProblem, allocation: Allocation, block: Sequence[int], order: int | None = None
) -> np.ndarray:
    """Minus the sum-rate of every choice of a block's devices, in bit/s/Hz, given what all others do.

    Args:
        problem: One instance.
        allocation: What the others do; devices of the block have the power that it gives them.
        block: Devices, m of them.
        order: Most devices that a term of the diagonal acts on; None for all.

    Returns:
        (1, A, ..., A) with one axis per device, A = K + 1 where devices may idle (the last option) and K elsewhere.

    Raises:
        InvalidValueError: For a block that is empty, too large or names devices twice.
    """
    size, subchannels = len(block), problem.num_subchannels
    if not 1 <= size <= MAX_BLOCK or len(set(block)) < size:
        raise InvalidValueError("block", list(block), f"1 to {MAX_BLOCK} different devices")
    worth = _subset_worth(problem, allocation, list(block))
    # Moebius inversion: what a subset adds beyond all of its own subsets
    adds = worth.copy()
    for member in range(size):
        with_member = np.arange(2**size)[(np.arange(2**size) >> member & 1) == 1]
        adds[with_member] -= adds[with_member ^ (1 << member)]
    options = subchannels + problem.may_idle
    cost = np.full((options,) * size, -worth[0].sum())
    for count in range(1, size + 1 if order is None else min(order, size) + 1):
        for members in combinations(range(size), count):
            subset = sum(1 << member for member in members)
            _common_option(cost, members)[..., :subchannels] -= adds[subset]
    return cost[None]


def _common_option(cost: np.ndarray, members: tuple[int, ...]) -> np.ndarray:
    """View of the choices in which some devices have the same option, which is the last axis."""
    others = [axis for axis in range(cost.ndim) if axis not in members]
    shape = [cost.shape[axis] for axis in others] + [cost.shape[members[0]]]
    strides = [cost.strides[axis] for axis in others] + [sum(cost.strides[member] for member in members)]
    return np.lib.stride_tricks.as_strided(cost, shape, strides)


def _subset_worth(problem: AllocationProblem, allocation: Allocation, block: list[int]) -> np.ndarray:
    """(2^m, K) rate of all devices on each sub-channel of all cells, in bit/s/Hz, with each subset of the block on it.

    A stand-in of every device of the block is put on every sub-channel at once, and those of a subset transmit: no
    sub-channel hears of another, so that one round of 2^m systems has all answers.
    """
    size, subchannels = len(block), problem.num_subchannels
    others = np.flatnonzero((allocation.participate & problem.available)[0])
    others = others[~np.isin(others, block)]
    stand_ins = np.repeat(block, subchannels)
    devices = np.concatenate([others, stand_ins])
    channel = np.concatenate([allocation.subchannel[0, others], np.tile(np.arange(subchannels), size)])
    subsets = np.arange(2**size)[:, None] >> np.arange(size) & 1 == 1
    can = np.repeat(subsets & problem.available[0, block], subchannels, axis=1)
    transmits = np.concatenate([np.ones((2**size, len(others)), dtype=bool), can], axis=1)
    shape = transmits.shape
    up = uplink(
        problem.radio,
        np.broadcast_to(problem.gain[0, devices], (*shape, *problem.gain.shape[2:])),
        np.broadcast_to(problem.serving[0, devices], shape),
        transmits,
        np.broadcast_to(channel, shape),
        np.broadcast_to(allocation.power_w[0, devices], shape),
        np.full(len(transmits), problem.time_share),
    )
    on_channel = channel[:, None] == np.arange(subchannels)
    return up.rate_bps @ on_channel / problem.radio.subchannel_hz


def greedy_start(problem: AllocationProblem) -> Allocation:
    """Every device on its own best sub-channel, then power control."""
    return switched(problem, problem.own_gain.argmax(-1))


def deal(problem: AllocationProblem, rng: np.random.Generator, block_size: int) -> list[np.ndarray]:
    """Blocks of the devices that can transmit, for one sweep.

    Devices that would be heard about equally well meet in a block, because those are the ones that may change places; a
    random shift of every rank, by up to twice the number of sub-channels, deals them anew each time.
    """
    strength = problem.alone_rate_bps()[0].max(-1)
    strength = np.where(problem.available[0], strength, -np.inf)
    rank = np.argsort(np.argsort(-strength, kind="stable"))
    shifted = rank + rng.uniform(0.0, 2.0 * problem.num_subchannels, len(rank))
    shifted[~problem.available[0]] = np.inf
    devices = np.argsort(shifted, kind="stable")[: problem.available[0].sum()]
    return [devices[begin : begin + block_size] for begin in range(0, len(devices), block_size)]


def descend(
    problem: AllocationProblem,
    solve: Solver,
    rng: np.random.Generator,
    block_size: int,
    sweeps: int,
    after_sweep: Callable[[Allocation], object] | None = None,
) -> Allocation:
    """Sweep over the devices in blocks from :func:`greedy_start`, and control power after each sweep.

    What a solver proposes is taken if it is better, so that the sum-rate never falls.

    Args:
        problem: One instance with interference.
        solve: Decides a block.
        rng: Deals the devices into blocks anew in every sweep.
        block_size: Devices of a block.
        sweeps: Sweeps over all devices.
        after_sweep: Told of a copy of what there is after each sweep, e.g. to draw how it converges.
    """
    current, idle = greedy_start(problem), problem.num_subchannels
    for _ in range(sweeps):
        for block in deal(problem, rng, block_size):
            cost = block_cost(problem, current, block.tolist())
            now = np.where(current.participate[0, block], current.subchannel[0, block], idle)
            chosen = solve(cost)
            if cost[0][tuple(chosen)] < cost[0][tuple(now)]:
                current.participate[0, block] = chosen < idle
                current.subchannel[0, block] = np.where(chosen < idle, chosen, 0)
        controlled = switched(problem, np.where(current.participate, current.subchannel, idle))
        if values_bps(problem, controlled) > values_bps(problem, current):
            current = controlled
        if after_sweep is not None:
            after_sweep(Allocation(current.participate.copy(), current.subchannel.copy(), current.power_w.copy()))
    return current
