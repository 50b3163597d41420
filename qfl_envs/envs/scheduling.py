"""``qfl/Scheduling-v0``: who trains this round, and how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from qfl_envs.envs.base import FederatedEnv
from qfl_envs.envs.task import Task
from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem


class SchedulingTask(Task):
    """Choice of participants and of their local steps."""

    def __init__(
        self,
        scenario: Scenario,
        reward_weights: Mapping[str, float] | None = None,
        local_step_choices: Sequence[int] = (1, 2, 4),
    ) -> None:
        """Prepare the task; see :class:`SchedulingEnv`."""
        super().__init__(scenario, reward_weights)
        choices = list(local_step_choices)
        if not choices or any(isinstance(c, bool) or not isinstance(c, int) or c < 1 for c in choices):
            raise InvalidValueError("local_step_choices", local_step_choices, "whole numbers of at least 1")
        self.local_steps = np.array([0, *choices])
        self.max_local_steps = max(choices)
        self.action_space = spaces.MultiDiscrete(np.full(scenario.num_devices, len(self.local_steps)))

    def decide(self, system: FederatedSystem, actions: np.ndarray) -> Decision:
        """Choice 0 of a device is to idle, others index the local steps; devices on one sub-channel take turns."""
        return Decision(
            participate=actions > 0,
            local_steps=self.local_steps[actions],
            time_share=np.ones(len(actions), dtype=bool),
        )

    def encode(self, decision: Decision) -> np.ndarray:
        """Idle, or the choice whose local steps come closest."""
        wanted = self.scenario.learning.local_steps if decision.local_steps is None else decision.local_steps
        wanted = np.broadcast_to(wanted, decision.participate.shape)
        nearest = np.abs(self.local_steps[1:] - wanted[..., None]).argmin(-1) + 1
        return np.where(decision.participate, nearest, 0)

    def action_masks(self, system: FederatedSystem) -> np.ndarray:
        """A device without link or charge can only idle."""
        available = system.available()
        masks = np.repeat(available[..., None], len(self.local_steps), axis=-1)
        masks[..., 0] = True
        return masks.reshape(len(available), -1)


class SchedulingEnv(FederatedEnv):
    """Choose who trains in each federated round, and how many local steps."""

    task_class = SchedulingTask

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "small",
        *,
        split: str = "train",
        reward_weights: Mapping[str, float] | None = None,
        local_step_choices: Sequence[int] = (1, 2, 4),
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
            task_arguments={"reward_weights": reward_weights, "local_step_choices": local_step_choices},
            overrides=overrides,
        )
