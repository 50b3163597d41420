"""``qfl/StragglerFairness-v0``: how much work each device does now, and which it defers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from qfl_envs.envs.base import ChoiceEnv
from qfl_envs.envs.pages import page
from qfl_envs.envs.scheduling import SchedulingTask
from qfl_envs.envs.task import Task
from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.report import RoundReport, fairness


class StragglerFairnessTask(SchedulingTask):
    """Choice of local work per device, rewarded for speed and for serving all devices alike."""

    default_weights: ClassVar[Mapping[str, float]] = {"efficiency": 0.5, "fairness": 0.5}
    scenario_changes: ClassVar[Mapping[str, Any]] = {"learning": {"fairness_q": 1.0}}

    def __init__(
        self,
        scenario: Scenario,
        reward_weights: Mapping[str, float] | None = None,
        vector_reward: bool = False,
        local_step_choices: Sequence[int] = (1, 2, 4),
        fairness_weight: float = 0.5,
    ) -> None:
        """Prepare the task; see :class:`StragglerFairnessEnv`."""
        number = isinstance(fairness_weight, int | float) and not isinstance(fairness_weight, bool)
        if not number or not 0.0 <= fairness_weight <= 1.0:
            raise InvalidValueError("fairness_weight", fairness_weight, "a number from 0 to 1")
        of_weight = {"efficiency": 1.0 - fairness_weight, "fairness": float(fairness_weight)}
        if reward_weights is None or isinstance(reward_weights, Mapping):
            reward_weights = {**of_weight, **(reward_weights or {})}
        super().__init__(scenario, reward_weights, vector_reward, local_step_choices)

    def reward_terms(self, system: FederatedSystem, report: RoundReport, failed: np.ndarray) -> dict[str, np.ndarray]:
        """``efficiency``, the weighted terms of other tasks, and ``fairness``.

        That adds up to half of how far the mean accuracy of the worst tenth of the devices rose, as a share of the
        target, plus half of how far Jain's index of the accuracies did.
        """
        common = super().reward_terms(system, report, failed)
        efficiency = sum(weight * common[name] for name, weight in Task.default_weights.items())
        before = fairness(report.device_accuracy_before)
        rise = report.fairness.worst_accuracy - before.worst_accuracy
        worst = rise / max(self.scenario.target_accuracy, 1e-9)
        even = report.fairness.jain - before.jain
        return {"efficiency": np.asarray(efficiency), "fairness": 0.5 * worst + 0.5 * even}


@page
class StragglerFairnessEnv(ChoiceEnv):
    """Choose the local work of every device, or defer it, and serve all devices alike.

    ## Description

    A server trains one model together with N devices of a wireless network: quantum federated learning. Each step of
    the environment is one federated round. The agent sees how well every device is connected, how fast it computes
    this round, which depends on the load of its other work, how full its battery is and what it last reported. For
    every device it chooses how many local steps it makes now, or defers it, for instance to a round in which its load
    is low.

    The choice is one between efficiency and fairness. Stragglers and devices at the edge of the cell cost time and
    energy, and a model that reaches the target accuracy soonest may never have heard of the labels that they hold. The
    reward weighs both: how fast and cheaply the target is reached, and how well the model serves the worst tenth of
    the devices and how evenly it serves all.

    When the server merges is a matter of the scenario: `learning.aggregation` is `"deadline"` (the default),
    `"synchronous"` (it waits for everybody), `"asynchronous"` (it merges every update as it comes; needs
    `learning.server_rule="fedasync"`) or `"buffered"` (at every `learning.buffer_size` updates). In the last two a
    round ends as soon as the server merges, and who is not ready by then goes on: it is not available until its update
    has arrived, which counts the less the more the model has changed meanwhile.

    The presets are changed for this environment: `learning.fairness_q` is 1, the q-fair objective, so that an update
    weighs as much as the loss of the device that sends it.

    Devices transmit as in `qfl/Scheduling-v0`: dealt over the sub-channels of their cell, in turns, at full power.

    ## Action Space

    `MultiDiscrete`, one entry per device, each with `1 + len(local_step_choices)` choices:

    | Choice | Meaning                                                            |
    |--------|--------------------------------------------------------------------|
    | `0`    | The device defers its work                                         |
    | `j`    | The device takes part with `local_step_choices[j - 1]` local steps |

    [repair]

    `env.unwrapped.action_masks()` is the flat bool mask of the open choices, of length `sum(nvec)`, device after
    device, as sb3-contrib's MaskablePPO reads it. Deferring is open to every device, everything else to those who can
    take part. `qfl_envs.straggler_fairness_v0` is the same for many agents, each device one of them.

    ## Observation Space

    [observations of cells]

    [notes of cells]

    [info]

    ## Rewards

    The reward is the weighted sum of `info["reward_terms"]`, with weights `1 - fairness_weight` and `fairness_weight`
    unless `reward_weights` says otherwise:

    | Term         | Weight | Value in a round                                                           |
    |--------------|--------|----------------------------------------------------------------------------|
    | `efficiency` | 0.5    | `progress + 2 * time + energy` of `qfl/Scheduling-v0`                      |
    | `fairness`   | 0.5    | half the rise of the worst accuracy over the target, half of Jain's index  |

    Over an episode `efficiency` adds up to the share of the way to the target accuracy that the best model made, minus
    twice the share of the longest episode's time and minus the share of the stored energy that were used; an episode
    that misses the target is charged with all time. `fairness` adds up to
    `(worst_accuracy / target_accuracy + jain) / 2` at the end minus that at the start, of `info["worst_accuracy"]`, the
    mean accuracy over the worst tenth of the devices, and `info["jain"]`.

    [vector reward]

    ## Starting State

    [start]

    ## Episode End

    [end at target]

    ## Arguments

    [arguments]
    | `local_step_choices` | list of int           | `(1, 2, 4)` | local steps of choices 1, 2, ... |
    | `fairness_weight`    | float                 | 0.5         | weight of fairness; that of efficiency is the rest |
    [more arguments]

    ```python
    >>> import gymnasium as gym
    >>> import qfl_envs
    >>> env = gym.make("qfl/StragglerFairness-v0", scenario="tiny", learning={"aggregation": "synchronous"})
    >>> env.action_space
    MultiDiscrete([4 4 4 4 4 4])
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step([1, 0, 3, 0, 0, 1])
    >>> sorted(info["reward_terms"])
    ['efficiency', 'fairness']

    ```

    [tiers]

    ## Version History

    * v0: first version.
    """

    task_class = StragglerFairnessTask

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "small",
        *,
        split: str = "train",
        reward_weights: Mapping[str, float] | None = None,
        local_step_choices: Sequence[int] = (1, 2, 4),
        fairness_weight: float = 0.5,
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
                "fairness_weight": fairness_weight,
            },
            overrides=overrides,
        )
