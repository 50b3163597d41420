"""Devices on sub-channels that they keep: who is received where, which power control needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from baselines.allocation.problem import Allocation, AllocationProblem
from qfl_envs.system.network.radio import capped_sinr


@dataclass(frozen=True)
class Links:
    """B instances of N devices with a sub-channel each; powers received are multiples of the noise power.

    All devices of a cell on one sub-channel hear the same, so everything is a sum over the slots (cell, sub-channel),
    and costs N C, not N^2.

    Attributes:
        problem: The instances.
        subchannel: (B, N).
        into: (B, N, C) what each device puts into every cell on its sub-channel, per W.
        slot: (B, N, C) the slot, counted through the batch, that this is in.
        own: (B, N) what it puts into its own cell, per W.
        own_slot: (B, N) its slot there.
        low_w: (B, N) least power: 0 for those who may be silent or are not available.
        high_w: (B, N) most power: 0 for those who are not available.
    """

    problem: AllocationProblem
    subchannel: np.ndarray
    into: np.ndarray
    slot: np.ndarray
    own: np.ndarray
    own_slot: np.ndarray
    low_w: np.ndarray
    high_w: np.ndarray

    @classmethod
    def of(cls, problem: AllocationProblem, subchannel: np.ndarray) -> Links:
        """The links of an assignment (B, N)."""
        into = np.take_along_axis(problem.gain, subchannel[..., None, None], axis=3)[..., 0] / problem.radio.noise_w
        rows = np.arange(problem.num_instances)[:, None, None]
        slot = (rows * problem.num_cells + np.arange(problem.num_cells)) * problem.num_subchannels
        slot = slot + subchannel[..., None]
        serving = problem.serving[..., None]
        return cls(
            problem,
            subchannel,
            into,
            slot,
            np.take_along_axis(into, serving, axis=2)[..., 0],
            np.take_along_axis(slot, serving, axis=2)[..., 0],
            np.where(problem.available & (not problem.may_idle), problem.min_power_w, 0.0),
            np.where(problem.available, problem.max_power_w, 0.0),
        )

    def received(self, power_w: np.ndarray) -> np.ndarray:
        """(B C K) what each slot receives of all devices, noise included."""
        return 1.0 + self._by_slot(self.slot, power_w[..., None] * self.into)

    def interference(self, power_w: np.ndarray) -> np.ndarray:
        """(B, N) what each device's base station receives of the others on its sub-channel, noise included."""
        return np.maximum(self.received(power_w)[self.own_slot] - power_w * self.own, 1.0)

    def of_own_slot(self, value: np.ndarray) -> np.ndarray:
        """(B, N) sum of values (B, N) over the devices of a device's cell and sub-channel, itself included."""
        return self._by_slot(self.own_slot, value)[self.own_slot]

    def cumulated(self, value: np.ndarray, key: np.ndarray) -> np.ndarray:
        """(B, N) sum of values (B, N) over the devices of a device's slot before it in ascending key (B, N)."""
        order = np.lexsort((key, self.own_slot), axis=-1)
        up_to = np.empty_like(value)
        np.put_along_axis(up_to, order, np.take_along_axis(value, order, axis=1).cumsum(1), axis=1)
        of_slots = self._by_slot(self.own_slot, value).reshape(len(value), -1)
        of_slots_before = of_slots.cumsum(1) - of_slots
        return np.maximum(up_to - value - of_slots_before.ravel()[self.own_slot], 0.0)

    def price(self, weight: np.ndarray) -> np.ndarray:
        """(B, N) sum over all receivers on a device's sub-channel, its own included, of what they hear of it per W.

        Args:
            weight: (B, N) weight of each receiver in the sum.
        """
        return (self.into * self._by_slot(self.own_slot, weight)[self.slot]).sum(-1)

    def efficiency(self, power_w: np.ndarray) -> np.ndarray:
        """(B, N) rates in bit/s/Hz, with the SINR cap."""
        return np.log2(1 + capped_sinr(self.problem.radio, power_w * self.own / self.interference(power_w)))

    def allocation(self, power_w: np.ndarray) -> Allocation:
        """Powers (B, N) as they are: silent are those with none."""
        return Allocation(power_w > 0, self.subchannel, power_w)

    def legal(self, power_w: np.ndarray) -> Allocation:
        """Powers under the least power become that or silence, whichever is closer."""
        least_w, may_idle = self.problem.min_power_w, self.problem.may_idle
        participate = self.problem.available & ((power_w >= least_w / 2) | (not may_idle))
        return Allocation(participate, self.subchannel, np.clip(power_w, least_w, self.problem.max_power_w))

    def _by_slot(self, slot: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Sum of values over those in each slot."""
        problem = self.problem
        slots = problem.num_instances * problem.num_cells * problem.num_subchannels
        return np.bincount(slot.ravel(), np.broadcast_to(value, slot.shape).ravel(), minlength=slots)
