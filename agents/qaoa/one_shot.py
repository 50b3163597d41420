"""Allocation of all devices by depth-one circuits: once, or again and again with the most certain devices fixed.

Outcomes are drawn device by device from their exact marginals. A processor's would be correlated between devices, which
no classical computer can draw at this scale; that is the one respect in which this is not what a processor would do.
"""

from __future__ import annotations

import numpy as np

from agents.qaoa.angles import Angles
from agents.qaoa.marginals import marginals
from agents.qaoa.power import best_switched, one_each_bps
from agents.qaoa.projection import switched_qubo
from baselines.allocation.problem import Allocation, AllocationProblem
from qfl_envs.errors import InvalidValueError

CONTROLLED = 20
"""Choices whose power is controlled exactly, those that are best with one device of each sub-channel at full power."""


def draw(probabilities: np.ndarray, shots: int, rng: np.random.Generator) -> np.ndarray:
    """Options (S, M) of independent devices, with probabilities (M, A).

    Raises:
        InvalidValueError: For shots below 1.
    """
    if shots < 1:
        raise InvalidValueError("shots", shots, "at least 1")
    ladder = probabilities.cumsum(-1)[:, :-1]
    drawn: np.ndarray = (ladder < rng.random((shots, len(probabilities), 1))).sum(-1)
    return drawn


def one_shot(problem: AllocationProblem, angles: Angles, shots: int, rng: np.random.Generator) -> Allocation:
    """Run one circuit on all devices, and decide by all of its shots, see :func:`read_out`.

    Args:
        problem: One instance.
        angles: One layer, tuned elsewhere.
        shots: Measurements.
        rng: Of the measurements.
    """
    return read_out(problem, draw(marginals(switched_qubo(problem), angles)[0], shots, rng))


def uniform_shots(problem: AllocationProblem, shots: int, rng: np.random.Generator) -> Allocation:
    """The control: what :func:`one_shot` makes of the uniform start, without a circuit."""
    drawn = rng.integers(problem.num_subchannels, size=(shots, problem.num_devices))
    return read_out(problem, drawn)


def read_out(problem: AllocationProblem, shots: np.ndarray) -> Allocation:
    """One allocation from all shots of one circuit.

    A circuit of depth one moves the frequencies of no device far from the uniform ones, so that even the best of many
    shots is left to chance in most places. All shots together say more: on every sub-channel the device is fixed that
    was measured there most often, the most certain first and none twice, as :func:`recursive` fixes them. Every shot
    competes as it was measured, and with these devices moved to where they were fixed.

    Args:
        problem: One instance.
        shots: (S, N) a sub-channel for every device.

    Returns:
        The best after power control.
    """
    subchannels, serving = problem.num_subchannels, problem.serving[0]
    frequency = np.stack([np.bincount(of_device, minlength=subchannels) for of_device in shots.T]) / len(shots)
    heard = np.where(problem.alone_rate_bps()[0] > 0, frequency, -1.0)
    certain = _most_certain(heard, serving, problem.num_cells * subchannels)
    devices, channels = np.array(certain, dtype=int).reshape(-1, 2).T
    moved = shots.copy()
    moved[:, devices] = channels
    fixed = np.full(problem.num_devices, subchannels)
    fixed[devices] = channels
    candidates = np.concatenate([shots, moved, _with_the_rest(problem, fixed)])
    promising = np.argsort(-one_each_bps(problem, candidates), kind="stable")[:CONTROLLED]
    return best_switched(problem, candidates[promising])


def recursive(
    problem: AllocationProblem, angles: Angles | None, shots: int, rng: np.random.Generator, chunk: int
) -> tuple[Allocation, int]:
    """Recursive QAOA (Bravyi et al. 2020, Phys. Rev. Lett. 125, 260505): fix what is most certain, and ask again.

    In each step a circuit on the devices that are left says how often each takes each sub-channel. The most certain
    ones, no two on one sub-channel, are fixed; what is left is then a smaller problem in which only rates above those
    that are held already count. It ends when nobody left would add anything.

    Args:
        problem: One instance.
        angles: One layer, tuned elsewhere; None for the control, uniform shots in place of those of each circuit.
        shots: Measurements of each circuit, from which its marginals are estimated.
        rng: Of the measurements.
        chunk: Devices fixed per circuit.

    Returns:
        The allocation, and the number of circuits.

    Raises:
        InvalidValueError: For a chunk below 1.
    """
    if chunk < 1:
        raise InvalidValueError("chunk", chunk, "at least 1 device per circuit")
    subchannels = problem.num_subchannels
    rates = problem.alone_rate_bps()
    choice = np.full(problem.num_devices, subchannels)
    held = np.zeros((1, problem.num_cells, subchannels))
    circuits = 0
    while True:
        gains = np.where(choice[:, None] < subchannels, 0.0, rates[0] - held[0, problem.serving[0]])
        left = np.flatnonzero((gains > 0).any(1))
        if len(left) == 0:
            break
        if angles is None:
            probabilities = np.full((len(left), subchannels), 1 / subchannels)
        else:
            probabilities = marginals(switched_qubo(_part(problem, left), held), angles)[0]
        frequency = np.stack([rng.multinomial(shots, of_device) for of_device in probabilities]) / shots
        circuits += 1
        for device, channel in _most_certain(
            np.where(gains[left] > 0, frequency, -1.0), problem.serving[0, left], chunk
        ):
            choice[left[device]] = channel
            cell = problem.serving[0, left[device]]
            held[0, cell, channel] = rates[0, left[device], channel]
    return best_switched(problem, _with_the_rest(problem, choice)), circuits


def _part(problem: AllocationProblem, devices: np.ndarray) -> AllocationProblem:
    """The problem of some devices alone."""
    return AllocationProblem(
        problem.gain[:, devices],
        problem.serving[:, devices],
        problem.available[:, devices],
        problem.radio,
        problem.may_idle,
    )


def _most_certain(frequency: np.ndarray, serving: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Devices and sub-channels of the largest frequencies (M, K), no device and no sub-channel of a cell twice."""
    frequency, found = frequency.copy(), []
    for _ in range(count):
        device, channel = np.unravel_index(frequency.argmax(), frequency.shape)
        if frequency[device, channel] < 0:
            break
        found.append((int(device), int(channel)))
        frequency[serving == serving[device], channel] = -1.0
        frequency[device] = -1.0
    return found


def _with_the_rest(problem: AllocationProblem, choice: np.ndarray) -> np.ndarray:
    """Choices to compare: the rest idles, or all of it shares one sub-channel, whichever, where it may not."""
    if problem.may_idle:
        return choice[None]
    idle = problem.num_subchannels
    return np.stack([np.where(choice == idle, shared, choice) for shared in range(idle)])
