"""The allocation as a quadratic problem over one-hot choices, which annealers and quantum circuits minimise.

Devices transmit at a fixed power, and interference is counted in pairs: the energy of a choice is minus the sum-rate if
no more than two devices share a sub-channel. With more, and without an SINR cap, it is above that, because what two
interferers take from a device together is less than the sum of what each takes alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from baselines.allocation.problem import Allocation, AllocationProblem
from qfl_envs.errors import InvalidValueError
from qfl_envs.system.network.radio import capped_sinr


@dataclass(frozen=True)
class OneHotQuadratic:
    """B problems: choose one of A options for each of M devices so that the energy is least.

    The energy of a choice a is sum_i linear[i, a_i] + sum_{i<j} [a_i = a_j] pair[i, j, a_i].

    Attributes:
        linear: (B, M, A) energy of a device's option alone.
        pair: (B, M, M, A) energy that two devices with the same option add; symmetric, 0 on the diagonal.
    """

    linear: np.ndarray
    pair: np.ndarray

    def __post_init__(self) -> None:
        """Refuse arrays that do not go together.

        Raises:
            InvalidValueError: Naming the array.
        """
        if self.linear.ndim != 3:
            raise InvalidValueError("linear", self.linear.shape, "a shape (B, M, A)")
        instances, devices, options = self.linear.shape
        if self.pair.shape != (instances, devices, devices, options):
            raise InvalidValueError("pair", self.pair.shape, f"the shape {(instances, devices, devices, options)}")

    @property
    def num_options(self) -> int:
        """A."""
        return int(self.linear.shape[2])

    def energy(self, choice: np.ndarray) -> np.ndarray:
        """Energy (B) of a choice (B, M)."""
        alone = np.take_along_axis(self.linear, choice[..., None], axis=2)[..., 0]
        chosen = np.take_along_axis(self.fields(choice), choice[..., None], axis=2)[..., 0]
        # a field has all pairs of its device, so that the sum over devices has every pair twice
        return 0.5 * (alone + chosen).sum(-1)

    def fields(self, choice: np.ndarray) -> np.ndarray:
        """Energy (B, M, A) that each device would add with each option, given the choice (B, M) of the others."""
        chosen = np.eye(self.num_options)[choice]
        # the zero diagonal leaves a device's own choice out
        return self.linear + np.einsum("bija,bja->bia", self.pair, chosen, optimize=True)


def allocation_qubo(problem: AllocationProblem, power_w: np.ndarray | None = None) -> OneHotQuadratic:
    """The quadratic problem of an allocation with given powers.

    Options 0 to K - 1 are the sub-channels. Where devices may idle there is a last option more, of energy 0. A device
    that is not available has power 0, and so energy 0 in every option.

    Several cells are one problem: devices of different cells on one sub-channel interfere at each other's base station.

    Args:
        problem: Instances with interference.
        power_w: (B, N); the most power if not given.

    Returns:
        Energies in bit/s/Hz, minus the sum-rate divided by the bandwidth of a sub-channel: mostly numbers of 0 to 20.

    Raises:
        InvalidValueError: For devices that take turns.
    """
    problem.require_interference("QUBO")
    power_w = np.full(problem.serving.shape, problem.max_power_w) if power_w is None else power_w
    power_w = np.where(problem.available, power_w, 0.0)
    signal = power_w[..., None] * problem.own_gain
    alone = _efficiency(problem, signal)
    instances, devices, options = *problem.serving.shape, problem.num_subchannels + problem.may_idle
    linear = np.zeros((instances, devices, options))
    linear[..., : problem.num_subchannels] = -alone
    pair = np.zeros((instances, devices, devices, options))
    for b in range(instances):
        for i in range(devices):
            # (N, K) what device i is left with beside each other device
            received = power_w[b, :, None] * problem.gain[b, :, problem.serving[b, i], :]
            left = _efficiency(problem, signal[b, i], received)
            pair[b, i, :, : problem.num_subchannels] = alone[b, i] - left
        pair[b] += pair[b].transpose(1, 0, 2).copy()
        pair[b, np.arange(devices), np.arange(devices)] = 0.0
    return OneHotQuadratic(linear, pair)


def decode(problem: AllocationProblem, choice: np.ndarray, power_w: np.ndarray | None = None) -> Allocation:
    """The allocation of a choice (B, N) of options of :func:`allocation_qubo`, with the same powers."""
    power_w = np.full(choice.shape, problem.max_power_w) if power_w is None else power_w
    participate = problem.available & (choice < problem.num_subchannels)
    return Allocation(participate, np.where(choice < problem.num_subchannels, choice, 0), power_w)


def _efficiency(
    problem: AllocationProblem, signal_w: np.ndarray, interference_w: np.ndarray | float = 0.0
) -> np.ndarray:
    """Rate in bit/s/Hz."""
    return np.log2(1 + capped_sinr(problem.radio, signal_w / (interference_w + problem.radio.noise_w)))
