"""``qfl/Power-v0``: how much power, clock and bandwidth for every device whose turn it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from qfl_envs.envs.base import FederatedEnv
from qfl_envs.envs.features import Feature
from qfl_envs.envs.pages import page
from qfl_envs.envs.task import Task
from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.view import NetworkView

LEAST_CLOCK = 0.1
"""Share of its free clock that a device at least computes with."""


class PowerTask(Task):
    """Continuous choice of power, clock and share of the band."""

    # with as little work as in other tasks, the energy of a CPU would be nothing beside that of its radio
    scenario_changes: ClassVar[Mapping[str, Any]] = {"fleet": {"cycles_per_sample": 5e7}}

    def __init__(
        self,
        scenario: Scenario,
        reward_weights: Mapping[str, float] | None = None,
        vector_reward: bool = False,
        num_scheduled: int | None = None,
    ) -> None:
        """Prepare the task; see :class:`PowerEnv`."""
        n = scenario.num_devices
        slots = min(n, scenario.radio.num_cells * scenario.radio.num_subchannels)
        self.num_scheduled = slots if num_scheduled is None else num_scheduled
        if isinstance(num_scheduled, bool) or not isinstance(self.num_scheduled, int):
            raise InvalidValueError("num_scheduled", num_scheduled, "null or a whole number")
        if not 1 <= self.num_scheduled <= n:
            raise InvalidValueError("num_scheduled", num_scheduled, f"null, or 1 to {n}")
        super().__init__(scenario, reward_weights, vector_reward)
        self.action_space = spaces.Box(-1.0, 1.0, (3 * n,), np.float32)

    def more_features(self) -> dict[str, Feature]:
        """Whose turn it is."""
        return {"scheduled": Feature("scheduled", self.scenario.num_devices, 0.0, 1.0)}

    def more_values(self, system: FederatedSystem) -> dict[str, np.ndarray]:
        """Whose turn it is."""
        return {"scheduled": self.scheduled(system)}

    def scheduled(self, system: FederatedSystem) -> np.ndarray:
        """(E, N) bool, the next devices in turn that can take part; the turn moves on with every round."""
        n = self.scenario.num_devices
        begin = system.state.round_index * self.num_scheduled % n
        order = (begin[:, None] + np.arange(n)) % n
        available = np.take_along_axis(system.available(), order, axis=1)
        chosen = np.zeros(available.shape, dtype=bool)
        np.put_along_axis(chosen, order, available & (available.cumsum(-1) <= self.num_scheduled), axis=1)
        return chosen

    def decide(self, system: FederatedSystem, actions: np.ndarray) -> Decision:
        """The actions are N powers, N clocks and N shares of the band; who has no share idles."""
        limits = self.scenario.radio
        power, clock, share = np.split((actions.astype(float) + 1) / 2, 3, axis=1)
        scheduled = self.scheduled(system)
        participate = scheduled & (share > 0.0)
        return Decision(
            participate=participate,
            power_dbm=limits.min_power_dbm + power * (limits.max_power_dbm - limits.min_power_dbm),
            cpu_share=LEAST_CLOCK + (1 - LEAST_CLOCK) * clock,
            band_share=self._whole_band(system, np.where(participate, share, 0.0)),
        )

    def _whole_band(self, system: FederatedSystem, wanted: np.ndarray) -> np.ndarray:
        """Shares in proportion to what is wanted (E, N), 1 in sum in each cell where somebody wants some."""
        cells = self.scenario.radio.num_cells
        cell = np.arange(len(wanted))[:, None] * cells + system.serving_cell()
        total = np.bincount(cell.ravel(), wanted.ravel(), minlength=len(wanted) * cells)[cell]
        return wanted / np.maximum(total, 1e-12)

    def encode(self, decision: Decision) -> np.ndarray:
        """Powers, clocks and shares; those who should idle get no share."""
        limits, participate = self.scenario.radio, decision.participate
        span = max(limits.max_power_dbm - limits.min_power_dbm, 1e-12)
        power_dbm = limits.max_power_dbm if decision.power_dbm is None else decision.power_dbm
        power = np.broadcast_to((power_dbm - limits.min_power_dbm) / span, participate.shape)
        clock_share = np.ones(participate.shape) if decision.cpu_share is None else decision.cpu_share
        clock = (clock_share - LEAST_CLOCK) / (1 - LEAST_CLOCK)
        share = np.where(participate, 1.0 if decision.band_share is None else decision.band_share, 0.0)
        actions = np.concatenate([power, clock, share], axis=1)
        return (2 * np.clip(actions, 0.0, 1.0) - 1).astype(np.float32)

    def view(self, observation: Mapping[str, np.ndarray]) -> NetworkView:
        """One system's observation in physical units, with whose turn it is."""
        return self._viewed(observation, scheduled=self.features["scheduled"].decode(observation["scheduled"]) > 0.5)


@page
class PowerEnv(FederatedEnv):
    """Choose power, clock and bandwidth of the devices whose turn it is.

    ## Description

    A server trains one model together with N devices of a wireless network: quantum federated learning. Each step of
    the environment is one federated round. Who takes part is not the agent's matter: `num_scheduled` devices take
    turns, the next ones that can take part. The agent sees who they are, how well every device is connected, how fast
    it could compute and how full its battery is. It chooses how strongly each of them transmits, how fast it computes
    and which share of the band it has for itself. The system does the rest: the devices receive the model, train it on
    data of their own for `learning.local_steps` steps, sign it and send it back over their part of the band.

    The choice is one between latency and energy. A clock half as fast takes a quarter of the energy and twice the time;
    power buys rate, but less and less of it; the round lasts as long as its slowest device, so that whoever is ready
    early has wasted energy or bandwidth that another lacked. In one cell the best choice for a round is a convex
    problem in the logarithms of times, which the competitor `convex` solves.

    The presets are changed for this environment: a local step takes 5e7 cycles per sample (`fleet.cycles_per_sample`),
    so that clocks matter.

    ## Action Space

    `Box` from -1 to 1 of `3 * N` numbers, first a power for each of the N devices, then a clock, then a share:

    | Entry       | -1                             | 1                     | between          |
    |-------------|--------------------------------|-----------------------|------------------|
    | `n`         | `radio.min_power_dbm`          | `radio.max_power_dbm` | linear in dBm    |
    | `N + n`     | a tenth of the free clock      | the whole free clock  | linear in Hz     |
    | `2 * N + n` | nothing: the device idles      | the most              | linear           |

    The shares of the devices of one cell are scaled so that they split its whole band,
    `radio.num_subchannels * radio.subchannel_hz`. Entries of devices whose turn it is not have no effect. A device
    spreads its power over its part of the band. With several cells, what the others transmit is noise, spread over the
    whole band. There are no masks: every action is open. An action outside the space raises `InvalidValueError`.

    ## Observation Space

    [observations of cells]
    | `scheduled`     | `(N,)`         | 1 if it is the device's turn          |       | 0, 1                 | linear |

    [notes of cells]

    [info]

    ## Rewards

    The reward is the weighted sum of `info["reward_terms"]`:

    | Term       | Weight | Value in a round                                                              |
    |------------|--------|-------------------------------------------------------------------------------|
    | `progress` | 1      | rise of the best accuracy, up to the target, as a share of all that is needed |
    | `time`     | 2      | -`round_s` as a share of the longest possible episode                         |
    | `energy`   | 1      | -`energy_j` as a share of the energy that all devices stored at the start     |

    [common rewards]

    [vector reward]

    ## Starting State

    [start]

    ## Episode End

    [end at target]

    ## Arguments

    [arguments]
    | `num_scheduled`      | int or None           | None        | devices in turn; one per sub-channel if None |
    [more arguments]

    ```python
    >>> import gymnasium as gym
    >>> import qfl_envs
    >>> env = gym.make("qfl/Power-v0", scenario="tiny", num_devices=4, num_scheduled=2)
    >>> env.action_space
    Box(-1.0, 1.0, (12,), float32)
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    >>> sorted(info["reward_terms"])
    ['energy', 'progress', 'time']

    ```

    [tiers]

    ## Version History

    * v0: first version.
    """

    task_class = PowerTask

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "small",
        *,
        split: str = "train",
        reward_weights: Mapping[str, float] | None = None,
        num_scheduled: int | None = None,
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
                "num_scheduled": num_scheduled,
            },
            overrides=overrides,
        )
