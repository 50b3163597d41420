"""What an allocator is given, what it answers, and what the answer is worth."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Radio
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.network import radio as physics
from qfl_envs.view import NetworkView


@dataclass(frozen=True)
class Allocation:
    """One answer per instance.

    Attributes:
        participate: (B, N) bool, who transmits.
        subchannel: (B, N) integer in [0, K), also for those who do not.
        power_w: (B, N); of those who transmit, from the least to the most power.
    """

    participate: np.ndarray
    subchannel: np.ndarray
    power_w: np.ndarray

    def decision(self, limits: Radio) -> Decision:
        """The same for the environment, whose least power those get who do not transmit."""
        least_w = physics.dbm_to_w(limits.min_power_dbm)
        power_dbm = physics.w_to_dbm(np.where(self.participate, np.maximum(self.power_w, least_w), least_w))
        power_dbm = np.clip(power_dbm, limits.min_power_dbm, limits.max_power_dbm)
        return Decision(self.participate, self.subchannel, power_dbm)


@dataclass(frozen=True)
class AllocationProblem:
    """B instances: give each of N devices a sub-channel and a power so that the sum of their rates is large.

    Devices that are not available never transmit, as the system has it. All others transmit with a power between the
    least and the most, or are silent where they may idle.

    Attributes:
        gain: (B, N, C, K) linear power gain of every device to every cell on every sub-channel.
        serving: (B, N) cell of each device.
        available: (B, N) bool, who can transmit.
        radio: Noise, bandwidth, bounds of the power, SINR cap, and whether devices on one sub-channel interfere or take
            turns.
        may_idle: Whether an available device can be silent.
    """

    gain: np.ndarray
    serving: np.ndarray
    available: np.ndarray
    radio: Radio
    may_idle: bool = True

    def __post_init__(self) -> None:
        """Refuse arrays that do not go together.

        Raises:
            InvalidValueError: Naming the array.
        """
        if self.gain.ndim != 4 or 0 in self.gain.shape:
            raise InvalidValueError("gain", self.gain.shape, "a shape (B, N, C, K) without zeros")
        if not np.isfinite(self.gain).all() or self.gain.min() < 0:
            raise InvalidValueError("gain", f"from {self.gain.min()} to {self.gain.max()}", "finite, at least 0")
        for name, array in (("serving", self.serving), ("available", self.available)):
            if array.shape != self.gain.shape[:2]:
                raise InvalidValueError(name, array.shape, f"the shape {self.gain.shape[:2]} of (B, N)")
        if self.serving.min() < 0 or self.serving.max() >= self.num_cells:
            raise InvalidValueError("serving", f"up to {self.serving.max()}", f"0 to {self.num_cells - 1}")

    @classmethod
    def from_view(cls, view: NetworkView, may_idle: bool) -> AllocationProblem:
        """The one instance that an observation shows."""
        access = "time_share" if view.time_share else "interference"
        limits = replace(view.scenario.radio, access=access)
        return cls(view.gain[None], view.serving_cell[None], view.available[None], limits, may_idle)

    @classmethod
    def from_system(cls, system: FederatedSystem, may_idle: bool) -> AllocationProblem:
        """One instance per system, as they are now."""
        limits = system.scenario.radio
        return cls(system.state.gain, system.serving_cell(), system.available(), limits, may_idle)

    @property
    def num_instances(self) -> int:
        """B."""
        return int(self.gain.shape[0])

    @property
    def num_devices(self) -> int:
        """N."""
        return int(self.gain.shape[1])

    @property
    def num_cells(self) -> int:
        """C."""
        return int(self.gain.shape[2])

    @property
    def num_subchannels(self) -> int:
        """K."""
        return int(self.gain.shape[3])

    @property
    def max_power_w(self) -> float:
        """Most power of a device."""
        return physics.dbm_to_w(self.radio.max_power_dbm)

    @property
    def min_power_w(self) -> float:
        """Least power of a device that transmits."""
        return physics.dbm_to_w(self.radio.min_power_dbm)

    @property
    def sinr_cap(self) -> float:
        """SINR above which a rate does not rise; infinite without a modulation limit."""
        return np.inf if self.radio.sinr_cap_db is None else 10 ** (self.radio.sinr_cap_db / 10)

    @property
    def time_share(self) -> bool:
        """Whether devices on one sub-channel of a cell take turns; else they interfere."""
        return self.radio.access == "time_share"

    @cached_property
    def own_gain(self) -> np.ndarray:
        """(B, N, K) gain of every device to its own cell."""
        return np.take_along_axis(self.gain, self.serving[..., None, None], axis=2)[..., 0, :]

    def alone_rate_bps(self) -> np.ndarray:
        """(B, N, K) rate of each device alone at full power on each sub-channel; 0 where it is not available."""
        return np.where(self.available[..., None], physics.alone_rate_bps(self.radio, self.gain, self.serving), 0.0)

    def rate_bps(self, allocation: Allocation) -> np.ndarray:
        """(B, N) rates; who is not available does not transmit."""
        return physics.uplink(
            self.radio,
            self.gain,
            self.serving,
            allocation.participate & self.available,
            allocation.subchannel,
            allocation.power_w,
            np.full(self.num_instances, self.time_share),
        ).rate_bps

    def sum_rate_bps(self, allocation: Allocation) -> np.ndarray:
        """(B) sum of the rates of all devices, the objective."""
        return self.rate_bps(allocation).sum(-1)

    def require_interference(self, solver: str) -> None:
        """Refuse access by turns.

        Raises:
            InvalidValueError: Saying which access the solver is made for.
        """
        if self.time_share:
            raise InvalidValueError("radio.access", self.radio.access, f"'interference' for the solver {solver!r}")


@dataclass(frozen=True)
class Solution:
    """What a solver found and how it got there.

    Attributes:
        allocation: The last iterate.
        objective_bps: (B, iterations + 1) sum-rate of the start and after every iteration: of that iterate, not of the
            best so far. The last is that of the allocation. All instances go on until none gains any more.
        iteration_s: (iterations) wall time of every iteration of the whole batch.
    """

    allocation: Allocation
    objective_bps: np.ndarray
    iteration_s: np.ndarray


class Trace:
    """Keeps a solver's objective per iteration; the time that this takes does not count."""

    def __init__(self, problem: AllocationProblem, start: Allocation) -> None:
        """Begin at the allocation that the solver starts from."""
        self._problem, self._last = problem, start
        self._objective_bps = [problem.sum_rate_bps(start)]
        self._iteration_s: list[float] = []
        self._begin = time.perf_counter()

    def add(self, allocation: Allocation) -> np.ndarray:
        """End an iteration; returns its objective (B)."""
        self._iteration_s.append(time.perf_counter() - self._begin)
        self._last = allocation
        self._objective_bps.append(self._problem.sum_rate_bps(allocation))
        self._begin = time.perf_counter()
        return self._objective_bps[-1]

    def settled(self, tolerance: float) -> bool:
        """Whether the last iteration changed no instance's objective by more than this share of it."""
        before, after = self._objective_bps[-2:]
        return bool((np.abs(after - before) <= tolerance * before).all())

    def solution(self) -> Solution:
        """All that was added."""
        return Solution(self._last, np.stack(self._objective_bps, axis=1), np.array(self._iteration_s))
