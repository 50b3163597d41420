"""``qfl/Allocation-v0``: which sub-channel and how much power for every device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from qfl_envs.envs.base import FederatedEnv
from qfl_envs.envs.task import Task
from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.report import RoundReport


class AllocationTask(Task):
    """Joint choice of sub-channels and power levels."""

    default_weights: ClassVar[Mapping[str, float]] = {**Task.default_weights, "sum_rate": 0.0}
    gain_per_subchannel = True

    def __init__(
        self,
        scenario: Scenario,
        reward_weights: Mapping[str, float] | None = None,
        num_power_levels: int = 4,
        allow_idle: bool = True,
    ) -> None:
        """Prepare the task; see :class:`AllocationEnv`."""
        super().__init__(scenario, reward_weights)
        if isinstance(num_power_levels, bool) or not isinstance(num_power_levels, int) or num_power_levels < 1:
            raise InvalidValueError("num_power_levels", num_power_levels, "a whole number of at least 1")
        if not isinstance(allow_idle, bool):
            raise InvalidValueError("allow_idle", allow_idle, "true or false")
        limits, n = scenario.radio, scenario.num_devices
        self.allow_idle = allow_idle
        self.power_levels_dbm = np.linspace(limits.max_power_dbm, limits.min_power_dbm, num_power_levels)[::-1]
        self.num_slots = limits.num_subchannels + allow_idle
        self.action_space = spaces.MultiDiscrete(np.repeat([self.num_slots, num_power_levels], n))

    def decide(self, system: FederatedSystem, actions: np.ndarray) -> Decision:
        """The first N numbers are sub-channels, where 0 is to idle if that is allowed, the others power levels."""
        slot, level = np.split(actions, 2, axis=1)
        subchannel = slot - self.allow_idle
        return Decision(
            participate=subchannel >= 0,
            subchannel=np.maximum(subchannel, 0),
            power_dbm=self.power_levels_dbm[level],
        )

    def encode(self, decision: Decision) -> np.ndarray:
        """Sub-channels and the closest power levels; those who should idle but must not get the least power."""
        participate, limits = decision.participate, self.scenario.radio
        subchannel = np.zeros(participate.shape, dtype=int) if decision.subchannel is None else decision.subchannel
        power_dbm = limits.max_power_dbm if decision.power_dbm is None else decision.power_dbm
        power_dbm = np.where(participate, power_dbm, limits.min_power_dbm)
        level = np.abs(self.power_levels_dbm - power_dbm[..., None]).argmin(-1)
        slot = np.where(participate, subchannel + 1, 0) if self.allow_idle else subchannel
        return np.concatenate([slot, level], axis=1)

    def action_masks(self, system: FederatedSystem) -> np.ndarray:
        """A device without link or charge can only idle, where idling is allowed."""
        available = system.available()
        slots = np.ones((*available.shape, self.num_slots), dtype=bool)
        if self.allow_idle:
            slots[..., 1:] = available[..., None]
        levels = np.ones((*available.shape, len(self.power_levels_dbm)), dtype=bool)
        return np.concatenate([part.reshape(len(available), -1) for part in (slots, levels)], axis=1)

    def reward_terms(self, system: FederatedSystem, report: RoundReport, failed: np.ndarray) -> dict[str, np.ndarray]:
        """The common terms, and ``sum_rate``.

        That adds up to minus the mean share that the sum-rate fell short of the best device alone on each sub-channel.
        """
        shortfall = report.sum_rate_bps / np.maximum(report.best_alone_bps, 1e-9) - 1
        return {**super().reward_terms(system, report, failed), "sum_rate": shortfall / self.scenario.max_rounds}


class AllocationEnv(FederatedEnv):
    """Choose a sub-channel and a power level for every device."""

    task_class = AllocationTask

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "small",
        *,
        split: str = "train",
        reward_weights: Mapping[str, float] | None = None,
        num_power_levels: int = 4,
        allow_idle: bool = True,
        render_mode: str | None = None,
        device: str = "cpu",
        **overrides: Any,
    ) -> None:
        """Build the environment; the class docstring lists the arguments."""
        super().__init__(
            scenario,
            split=split,
            render_mode=render_mode,
            device=device,
            task_arguments={
                "reward_weights": reward_weights,
                "num_power_levels": num_power_levels,
                "allow_idle": allow_idle,
            },
            overrides=overrides,
        )
