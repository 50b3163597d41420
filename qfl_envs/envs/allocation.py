"""``qfl/Allocation-v0``: which sub-channel and how much power for every device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from qfl_envs.envs.base import ChoiceEnv
from qfl_envs.envs.pages import page
from qfl_envs.envs.task import Task
from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.network.radio import best_alone_bps
from qfl_envs.system.report import RoundReport


class AllocationTask(Task):
    """Joint choice of sub-channels and power levels."""

    default_weights: ClassVar[Mapping[str, float]] = {**Task.default_weights, "sum_rate": 0.0}
    gain_per_subchannel = True

    def __init__(
        self,
        scenario: Scenario,
        reward_weights: Mapping[str, float] | None = None,
        vector_reward: bool = False,
        num_power_levels: int = 4,
        allow_idle: bool = True,
    ) -> None:
        """Prepare the task; see :class:`AllocationEnv`."""
        super().__init__(scenario, reward_weights, vector_reward)
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
        best_bps = best_alone_bps(self.scenario.radio, report.gain, report.serving)
        shortfall = report.sum_rate_bps / np.maximum(best_bps, 1e-9) - 1
        return {**super().reward_terms(system, report, failed), "sum_rate": shortfall / self.scenario.max_rounds}


@page
class AllocationEnv(ChoiceEnv):
    """Choose a sub-channel and a power level for every device.

    ## Description

    A server trains one model together with N devices of a wireless network: quantum federated learning. Each step of
    the environment is one federated round. The agent sees the gain of every device on every sub-channel, how fast it
    computes this round, how full its battery is and what it last reported. It then gives every device a sub-channel
    and a transmit power, or lets it idle. The system does the rest: the devices receive the model, train it on data of
    their own for `learning.local_steps` steps, sign it and send it back; the server merges what arrives before the
    deadline and measures the new model.

    This is a joint assignment of integers and powers, a mixed-integer non-linear problem. Devices on one sub-channel of
    a cell are each other's noise (`radio.access="interference"`) or take turns of equal length (`"time_share"`);
    devices of other cells on the same sub-channel interfere in both cases. Weak rates make a round long, a missed
    deadline makes it as long as it can be, and power drains batteries.

    Sum-rate is not the aim. It is largest when a few well-placed devices alone transmit, and whoever lets no others do
    so starves the learning: the model never sees the labels of the rest. So the term `sum_rate` of the reward has
    weight 0, and the return stays truthful about the simulated time to the target accuracy.

    ## Action Space

    `MultiDiscrete` of `2 * N` entries: first a sub-channel for each of the N devices, then a power level for each.

    | Entry   | Choices               | Meaning                                                                    |
    |---------|-----------------------|----------------------------------------------------------------------------|
    | `n`     | `num_subchannels + 1` | 0: device `n` idles; `k`: it takes part on sub-channel `k - 1`             |
    | `N + n` | `num_power_levels`    | level of its power, from `radio.min_power_dbm` up to `radio.max_power_dbm` |

    The levels are equally spaced in dBm; a single level is the most power. An idle device's level has no effect.

    With `allow_idle=False`, the literal mode of the case study's article, every device transmits: the first N entries
    have `num_subchannels` choices, of which `k` is sub-channel `k`, and there is no choice to idle.

    [repair]

    `env.unwrapped.action_masks()` is the flat bool mask of the open choices, of length `sum(nvec)`, entry after entry,
    as sb3-contrib's MaskablePPO reads it. Idling is open to every device, a sub-channel to those who can take part, and
    every power level to all; with `allow_idle=False` everything is open. `qfl_envs.envs.masks` converts it to the forms
    of Gymnasium and PettingZoo.

    ## Observation Space

    [observations of sub-channels]

    [notes of sub-channels]

    [info]

    ## Rewards

    The reward is the weighted sum of `info["reward_terms"]`:

    | Term       | Weight | Value in a round                                                                 |
    |------------|--------|----------------------------------------------------------------------------------|
    | `progress` | 1      | rise of the best accuracy, up to the target, as a share of all that is needed    |
    | `time`     | 2      | -`round_s` as a share of the longest possible episode, `deadline_s * max_rounds` |
    | `energy`   | 1      | -`energy_j` as a share of the energy that all devices stored at the start        |
    | `sum_rate` | 0      | shortfall of the sum-rate (below), as a share of `max_rounds`                    |

    [common rewards]

    The shortfall is `sum_rate_bps / best - 1`, where `best` is the sum-rate if on each sub-channel of each cell the
    best device of the cell transmitted alone, at full power and without interference; it is -1 when nobody transmits.
    With a weight for it the return says something else than time and energy. To train for pure sum-rate, as the article
    does, switch the other terms off:

    ```python
    >>> import gymnasium as gym
    >>> import qfl_envs
    >>> weights = {"progress": 0, "time": 0, "energy": 0, "sum_rate": 1}
    >>> env = gym.make("qfl/Allocation-v0", reward_weights=weights, learning={"model": "none"})

    ```

    ## Starting State

    [start]

    ## Episode End

    [end at target]

    ## Arguments

    [arguments]
    | `num_power_levels`   | int                   | 4           | levels of transmit power |
    | `allow_idle`         | bool                  | True        | whether a device can be left out of a round |
    [more arguments]

    ```python
    >>> env = gym.make("qfl/Allocation-v0", scenario="tiny", num_devices=3, radio={"num_subchannels": 2})
    >>> env.action_space
    MultiDiscrete([3 3 3 4 4 4])
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step([1, 0, 2, 3, 0, 3])
    >>> sorted(info["reward_terms"])
    ['energy', 'progress', 'sum_rate', 'time']

    ```

    [tiers]

    ## Version History

    * v0: first version.
    """

    task_class = AllocationTask

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "small",
        *,
        split: str = "train",
        reward_weights: Mapping[str, float] | None = None,
        num_power_levels: int = 4,
        allow_idle: bool = True,
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
                "num_power_levels": num_power_levels,
                "allow_idle": allow_idle,
            },
            overrides=overrides,
        )
