"""``qfl/Scheduling-v0``: who trains this round, and how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from qfl_envs.envs.base import ChoiceEnv
from qfl_envs.envs.pages import page
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
        vector_reward: bool = False,
        local_step_choices: Sequence[int] = (1, 2, 4),
    ) -> None:
        """Prepare the task; see :class:`SchedulingEnv`."""
        super().__init__(scenario, reward_weights, vector_reward)
        choices = list(local_step_choices) if isinstance(local_step_choices, Sequence) else []
        if not choices or any(isinstance(c, bool) or not isinstance(c, int) or c < 1 for c in choices):
            raise InvalidValueError("local_step_choices", local_step_choices, "whole numbers of at least 1")
        self.local_steps = np.array([0, *choices])
        self.max_local_steps = max(choices)
        self.time_share = True
        self.action_space = spaces.MultiDiscrete(np.full(scenario.num_devices, len(self.local_steps)))

    def decide(self, system: FederatedSystem, actions: np.ndarray) -> Decision:
        """Choice 0 of a device is to idle, others index the local steps; devices on one sub-channel take turns."""
        return Decision(
            participate=actions > 0,
            local_steps=self.local_steps[actions],
            time_share=np.full(len(actions), self.time_share),
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


@page
class SchedulingEnv(ChoiceEnv):
    """Choose who trains in each federated round, and how many local steps.

    ## Description

    A server trains one model together with N devices of a wireless network: quantum federated learning. Each step of
    the environment is one federated round. The agent sees how well every device is connected, how fast it computes
    this round, how full its battery is and what it last reported. It then chooses who trains, and for how many local
    steps. The system does the rest: the chosen devices receive the model, train it on data of their own, sign it and
    send it back; the server merges what arrives before the deadline and measures the new model.

    The choice is one between stragglers and data. A round lasts as long as its slowest participant, and until the
    deadline if one of them never answers; yet a model that only the fast devices train knows only the labels that
    they hold. More participants share the sub-channels, so that each one uploads for longer.

    What the agent does not choose follows fixed rules. Each cell deals its participants over its sub-channels from
    the strongest to the weakest and back. Devices that share a sub-channel of a cell take turns of equal length,
    whatever `radio.access` says: of `u` devices each has the sub-channel for a share `1 / u` of the time. All transmit
    at `radio.max_power_dbm` and compute with the whole clock that other work leaves them.

    ## Action Space

    `MultiDiscrete`, one entry per device, each with `1 + len(local_step_choices)` choices:

    | Choice | Meaning                                                            |
    |--------|--------------------------------------------------------------------|
    | `0`    | The device idles                                                   |
    | `j`    | The device takes part with `local_step_choices[j - 1]` local steps |

    [repair]

    `env.unwrapped.action_masks()` is the flat bool mask of the open choices, of length `sum(nvec)`, device after
    device, as sb3-contrib's MaskablePPO reads it. Idling is open to every device, everything else to those who can
    take part. `qfl_envs.envs.masks` converts it to the forms of Gymnasium and PettingZoo.

    ## Observation Space

    [observations of cells]

    [notes of cells]

    [info]

    ## Rewards

    The reward is the weighted sum of `info["reward_terms"]`:

    | Term       | Weight | Value in a round                                                                 |
    |------------|--------|----------------------------------------------------------------------------------|
    | `progress` | 1      | rise of the best accuracy, up to the target, as a share of all that is needed    |
    | `time`     | 2      | -`round_s` as a share of the longest possible episode, `deadline_s * max_rounds` |
    | `energy`   | 1      | -`energy_j` as a share of the energy that all devices stored at the start        |

    [common rewards]

    [vector reward]

    ## Starting State

    [start]

    ## Episode End

    [end at target]

    ## Arguments

    [arguments]
    | `local_step_choices` | list of int           | `(1, 2, 4)` | local steps of choices 1, 2, ... |
    [more arguments]

    ```python
    >>> import gymnasium as gym
    >>> import qfl_envs
    >>> env = gym.make("qfl/Scheduling-v0", scenario="tiny", num_devices=4, radio={"num_subchannels": 2})
    >>> env.action_space
    MultiDiscrete([4 4 4 4])
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step([1, 0, 3, 0])
    >>> sorted(info["reward_terms"])
    ['energy', 'progress', 'time']

    ```

    [tiers]

    ## Version History

    * v0: first version.
    """

    task_class = SchedulingTask

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "small",
        *,
        split: str = "train",
        reward_weights: Mapping[str, float] | None = None,
        local_step_choices: Sequence[int] = (1, 2, 4),
        vector_reward: bool = False,
        curriculum: Sequence[Mapping[str, Any]] | None = None,
        curriculum_stage: int | None = None,
        render_mode: str | None = None,
        device: str = "cpu",
        **overrides: Any,
    ) -> None:
        """Build the environment; the class docstring lists the arguments."""
        super().__init__(
            scenario,
            split=split,
            curriculum=curriculum,
            curriculum_stage=curriculum_stage,
            render_mode=render_mode,
            device=device,
            task_arguments={
                "reward_weights": reward_weights,
                "vector_reward": vector_reward,
                "local_step_choices": local_step_choices,
            },
            overrides=overrides,
        )
