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
LEAST_WEIGHT = 1 / 32
"""Smallest claim to the band, where the largest is 1."""
IDLE_SHARE = 0.1
"""Part of the interval of a share, at its lower end, that means to idle."""


class PowerTask(Task):
    """Continuous choice of power, clock and share of the band, for every slot of a round."""

    # so that full power, full clock and equal shares each cost something, see the class below
    scenario_changes: ClassVar[Mapping[str, Any]] = {
        "radio": {"max_power_dbm": 30.0, "subchannel_hz": 30e3},
        "fleet": {
            "cycles_per_sample": 5e7,
            "capacitance": 1e-27,
            "shot_s": [4e-7, 2e-6],
            "quantum_w": 0.5,
            "transmit_circuit_w": 0.1,
            "battery_j": [3.0, 30.0],
            "harvest_w": 0.2,
        },
    }

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
        self.action_space = spaces.Box(-1.0, 1.0, (3 * self.num_scheduled,), np.float32)

    @property
    def num_shown(self) -> int:
        """One device per slot."""
        return self.num_scheduled

    def more_features(self) -> dict[str, Feature]:
        """Who has each slot."""
        return {"device": Feature("device", self.num_scheduled, -1.0, self.scenario.num_devices - 1)}

    def more_values(self, system: FederatedSystem) -> dict[str, np.ndarray]:
        """Who has each slot."""
        return {"device": self.slots(system)}

    def values(self, system: FederatedSystem) -> dict[str, np.ndarray]:
        """Those of the devices that have the slots; nothing of a slot that nobody has."""
        values, device = super().values(system), self.slots(system)
        rows, empty = np.arange(len(device))[:, None], (device < 0)[..., None]
        for name, feature in self.features.items():
            if not feature.shared and name != "device":
                of_devices = values[name].reshape(len(device), self.scenario.num_devices, -1)
                lowest = feature.bounds[0]
                values[name] = np.where(empty, lowest, of_devices[rows, device]).reshape(len(device), -1)
        return values

    def slots(self, system: FederatedSystem) -> np.ndarray:
        """(E, S) devices in turn: the next ones that can take part, -1 where there are no more of them.

        The turn moves on with every round, whoever takes part.
        """
        n = self.scenario.num_devices
        begin = system.state.round_index * self.num_scheduled % n
        order = (begin[:, None] + np.arange(n)) % n
        available = np.take_along_axis(system.available(), order, axis=1)
        place = np.argsort(~available, axis=1, kind="stable")[:, : self.num_scheduled]
        has_one = np.take_along_axis(available, place, axis=1)
        return np.where(has_one, np.take_along_axis(order, place, axis=1), -1)

    def decide(self, system: FederatedSystem, actions: np.ndarray) -> Decision:
        """The actions are S powers, S clocks and S shares of the band, in the order of the slots."""
        limits = self.scenario.radio
        power, clock, share = np.split((actions.astype(float) + 1) / 2, 3, axis=1)
        device, span = self.slots(system), limits.max_power_dbm - limits.min_power_dbm
        weight = np.where(share > IDLE_SHARE, LEAST_WEIGHT ** ((1 - share) / (1 - IDLE_SHARE)), 0.0)
        participate = self._of_fleet(device, share > IDLE_SHARE, False)
        return Decision(
            participate=participate,
            power_dbm=self._of_fleet(device, limits.min_power_dbm + power * span, limits.max_power_dbm),
            cpu_share=self._of_fleet(device, LEAST_CLOCK + (1 - LEAST_CLOCK) * clock, 1.0),
            band_share=self._whole_band(system, self._of_fleet(device, weight, 0.0)),
        )

    def _of_fleet(self, device: np.ndarray, of_slots: np.ndarray, others: float) -> np.ndarray:
        """Values (E, S) of the slots as values (E, N) of their devices, and one for all others."""
        # nobody's slots go to a device more than there is
        of_all = np.full((len(device), self.scenario.num_devices + 1), others, dtype=of_slots.dtype)
        np.put_along_axis(of_all, device, of_slots, axis=1)
        return of_all[:, :-1]

    def _whole_band(self, system: FederatedSystem, wanted: np.ndarray) -> np.ndarray:
        """Shares in proportion to what is wanted (E, N), 1 in sum in each cell where somebody wants some."""
        cells = self.scenario.radio.num_cells
        cell = np.arange(len(wanted))[:, None] * cells + system.serving_cell()
        total = np.bincount(cell.ravel(), wanted.ravel(), minlength=len(wanted) * cells)[cell]
        return wanted / np.maximum(total, 1e-12)

    def encode(self, decision: Decision) -> np.ndarray:
        """Powers, clocks and shares of the slots (E, S); who should idle gets the lowest share.

        The largest share of all becomes the largest claim, so that the others keep their proportion to it.
        """
        limits, participate = self.scenario.radio, decision.participate
        span = max(limits.max_power_dbm - limits.min_power_dbm, 1e-12)
        power_dbm = limits.max_power_dbm if decision.power_dbm is None else decision.power_dbm
        power = np.broadcast_to((power_dbm - limits.min_power_dbm) / span, participate.shape)
        clock_share = np.ones(participate.shape) if decision.cpu_share is None else decision.cpu_share
        clock = (clock_share - LEAST_CLOCK) / (1 - LEAST_CLOCK)
        wanted = np.where(participate, 1.0 if decision.band_share is None else decision.band_share, 0.0)
        weight = np.clip(wanted / np.maximum(wanted.max(-1, keepdims=True), 1e-12), LEAST_WEIGHT, 1.0)
        # a hair above what means to idle
        share = 1 - (1 - IDLE_SHARE - 1e-6) * np.log(weight) / np.log(LEAST_WEIGHT)
        actions = np.concatenate([power, clock, np.where(participate, share, 0.0)], axis=1)
        return (2 * np.clip(actions, 0.0, 1.0) - 1).astype(np.float32)

    def view(self, observation: Mapping[str, np.ndarray]) -> NetworkView:
        """One system's observation in physical units: an entry per slot, and whose it is."""
        device = np.rint(self.features["device"].decode(observation["device"])).astype(np.int64)
        return self._viewed(observation, device=device, scheduled=device >= 0)


@page
class PowerEnv(FederatedEnv):
    """Choose power, clock and bandwidth of the devices whose turn it is.

    ## Description

    A server trains one model together with N devices of a wireless network: quantum federated learning. Each step of
    the environment is one federated round. Who takes part is not the agent's matter: a round has S = `num_scheduled`
    slots, which the devices take in turn, the next ones that can take part. The agent sees, slot by slot, how well
    the device is connected, how fast it could compute and how full its battery is. It chooses how strongly each of
    them transmits, how fast it computes and which share of the band it has for itself. The system does the rest: the
    devices receive the model, train it on data of their own for `learning.local_steps` steps, sign it and send it back
    over their part of the band.

    The choice is one between latency and energy. A clock half as fast takes a quarter of the energy and twice the time;
    power buys rate, but less and less of it, and above the SINR cap none; too little of it loses packets. The round
    lasts as long as its slowest device, so that whoever is ready early has wasted energy or bandwidth that another
    lacked. In one cell the best choice for a round is a convex problem in the logarithms of times, which the
    competitor `convex` solves.

    The presets are changed for this environment, so that each of the three choices shows in the return. Processors
    take watts: a local step takes 5e7 cycles per sample (`fleet.cycles_per_sample`) of 1e-27 f^2 joules
    (`fleet.capacitance`), of `fleet.quantum_w` there are 0.5 W, and shots take 0.4 to 2 microseconds (`fleet.shot_s`),
    so that a clock decides how long a device computes. Devices transmit with up to 1 W (`radio.max_power_dbm`; Tran et
    al. 2019) beside 0.1 W (`fleet.transmit_circuit_w`) on sub-channels of 30 kHz (`radio.subchannel_hz`), which is more
    than those nearby need. Batteries hold 3 to 30 J (`fleet.battery_j`) and gain 0.2 W (`fleet.harvest_w`).

    ## Action Space

    `Box` from -1 to 1 of `3 * S` numbers, first a power for each of the S slots, then a clock, then a share:

    | Entry       | -1                             | 1                     | between                    |
    |-------------|--------------------------------|-----------------------|----------------------------|
    | `s`         | `radio.min_power_dbm`          | `radio.max_power_dbm` | linear in dBm              |
    | `S + s`     | a tenth of the free clock      | the whole free clock  | linear in Hz               |
    | `2 * S + s` | nothing: the device idles      | a claim of 1          | linear in log, as follows  |

    Up to -0.8 a share means to idle. Above, the claim to the band rises from 1/32 to 1, uniformly in the logarithm.
    The claims of the devices of one cell are scaled so that they split its whole band,
    `radio.num_subchannels * radio.subchannel_hz`. Entries of a slot that no device has taken have no effect. A device
    spreads its power over its part of the band. With several cells, what the others transmit is noise, spread over the
    whole band. There are no masks: every action is open. An action outside the space raises `InvalidValueError`.

    ## Observation Space

    It shows the devices that have the slots of this round, S of them, in the order of the action's numbers. Where fewer
    devices can take part, the last slots are empty and show the low end of everything.

    [observations of slots]
    | `device`        | `(S,)`         | number of the slot's device           |       | -1 for none, `N - 1` | linear |

    [notes of slots]
    A view is of the slots too: its arrays have S entries, `device` says whose each one is, and `scheduled` in which
    slots there is a device. A `Decision` that `env.unwrapped.task.encode` turns into an action is one for the slots.

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
    | `num_scheduled`      | int or None           | None        | slots of a round; one per sub-channel if None |
    [more arguments]

    ```python
    >>> import gymnasium as gym
    >>> import qfl_envs
    >>> env = gym.make("qfl/Power-v0", scenario="tiny", num_devices=4, num_scheduled=2)
    >>> env.action_space
    Box(-1.0, 1.0, (6,), float32)
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
