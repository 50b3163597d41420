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


class SchedulingEnv(FederatedEnv):
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

    A device that is asked to take part but cannot (no link, or its charge is down to the reserve) idles, which is
    reported in `info["repaired"]`. An action outside the space raises `InvalidValueError`.

    `env.unwrapped.action_masks()` is the flat bool mask of the open choices, of length `sum(nvec)`, device after
    device, as sb3-contrib's MaskablePPO reads it. Idling is open to every device, everything else to those who can
    take part. `qfl_envs.envs.masks` converts it to the forms of Gymnasium and PettingZoo.

    ## Observation Space

    `Dict` of float32 `Box`es with one level, all within [-1, 1]. It holds what the server can know when it decides,
    nothing of what is drawn or measured later. N is the number of devices, C that of cells. A quantity is clipped to
    its bounds and mapped to [-1, 1] on its scale: `linear`; `log`, uniform in the logarithm; `dB`, uniform in decibels;
    `log1p`, uniform in the logarithm of one plus the value.

    | Key             | Shape      | Quantity                              | Unit  | Low, high            | Scale  |
    |-----------------|------------|---------------------------------------|-------|----------------------|--------|
    | `gain`          | `(N * C,)` | power gain to each cell (1)           | ratio | -160 dB, -60 dB      | dB     |
    | `step_s`        | `(N,)`     | time of one local step this round     | s     | fastest, slowest (2) | log    |
    | `cpu_hz`        | `(N,)`     | clock left for training this round    | Hz    | lowest, highest (3)  | log    |
    | `battery_j`     | `(N,)`     | charge                                | J     | 0, fullest (4)       | linear |
    | `available`     | `(N,)`     | 1 if linked and above the reserve     |       | 0, 1                 | linear |
    | `num_samples`   | `(N,)`     | training samples                      |       | 0, most (5)          | linear |
    | `loss`          | `(N,)`     | last loss that it reported (6)        | nats  | 0, 10                | log1p  |
    | `age`           | `(N,)`     | rounds since it last delivered (7)    |       | 0, `max_rounds`      | log1p  |
    | `accuracy`      | `(1,)`     | held-out accuracy of the global model |       | 0, 1                 | linear |
    | `best_accuracy` | `(1,)`     | best of the episode so far            |       | 0, 1                 | linear |
    | `round_index`   | `(1,)`     | rounds played                         |       | 0, `max_rounds`      | linear |
    | `last_round_s`  | `(1,)`     | duration of the last round            | s     | 0, `deadline_s`      | linear |

    1. The mean over the sub-channels. Entry `n * C + c` belongs to device `n` and cell `c`.
    2. A step on a free device with clock `fleet.cpu_hz[1]` and shots of `fleet.shot_s[0]`, and one on a device with
       clock `fleet.cpu_hz[0]` and shots of `fleet.shot_s[1]`, nine tenths of which other work takes.
    3. `0.1 * fleet.cpu_hz[0]` and `fleet.cpu_hz[1]`.
    4. `fleet.battery_j[1]`.
    5. `1 + learning.size_spread` times the mean amount of data, rounded up.
    6. The loss, on its own data, of the model that it received in the last round in which it delivered. A device that
       has not delivered yet shows the loss of a uniform guess, the logarithm of 10.
    7. Rounds since the start if it has not delivered yet.

    `env.unwrapped.view(observation)` gives the same as a `NetworkView` in physical units (gains as `(N, C, K)` linear
    ratios with K sub-channels, the serving cell, noise, bandwidth, payload and the scenario's constants), which solvers
    and rules read. Nothing but the observation enters it.

    `info` is for logs; some of it no server could know. `reset` gives `instance` and `accuracy`, `step` these:

    | Key                 | Shape  | Meaning                                                    |
    |---------------------|--------|------------------------------------------------------------|
    | `reward_terms`      | dict   | each term of the reward, unweighted                        |
    | `round_s`           |        | duration of the round, s                                   |
    | `energy_j`          |        | energy of all devices in the round, J                      |
    | `elapsed_s`         |        | simulated time since the start, s                          |
    | `total_energy_j`    |        | energy since the start, J                                  |
    | `sum_rate_bps`      |        | sum of the participants' uplink rates, bit/s               |
    | `bits_sent`         |        | bits that left the devices                                 |
    | `accuracy`          |        | held-out accuracy after the round                          |
    | `best_accuracy`     |        | best held-out accuracy of the episode so far               |
    | `loss`              |        | held-out cross-entropy, nats                               |
    | `device_loss`       | `(N,)` | cross-entropy of the new model on each device's data, nats |
    | `accuracy_variance` |        | variance of the accuracy over the devices                  |
    | `worst_accuracy`    |        | mean accuracy of the worst tenth of the devices            |
    | `jain`              |        | Jain's fairness index of the devices' accuracies           |
    | `participation`     | `(N,)` | bool, who took part, after repair                          |
    | `delivered`         | `(N,)` | bool, whose update arrived in time                         |
    | `late`              | `(N,)` | bool, who missed the deadline                              |
    | `lost`              | `(N,)` | bool, whose packet arrived in error                        |
    | `depleted`          | `(N,)` | bool, whose battery ended before the upload did            |
    | `repaired`          | `(N,)` | bool, whose part of the action could not be done           |
    | `target_reached`    |        | bool, whether the target accuracy is reached               |

    ## Rewards

    The reward is the weighted sum of `info["reward_terms"]`:

    | Term       | Weight | Value in a round                                                                 |
    |------------|--------|----------------------------------------------------------------------------------|
    | `progress` | 1      | rise of the best accuracy, up to the target, as a share of all that is needed    |
    | `time`     | 2      | -`round_s` as a share of the longest possible episode, `deadline_s * max_rounds` |
    | `energy`   | 1      | -`energy_j` as a share of the energy that all devices stored at the start        |

    Over an episode `progress` adds up to the share of the way to the target that the best model made, `time` to minus
    the share of the longest episode's simulated time that was used, `energy` to minus the share of the stored energy.
    The last round of an episode that misses the target is charged with all time that was left, so that giving up early
    saves none. So the return ranks policies by simulated seconds and joules to the target, weighed like this.

    ## Starting State

    `reset` draws the number of an instance from the split, and everything in the episode from that number: places and
    headings of the devices, clocks, charges, links, shadowing, fading, load, the data of every device, the untrained
    model and all that happens later. Rounds played, time and energy are 0, ages are 0.

    `reset(seed=s)` seeds the sequence of instances, `reset()` goes on in it. `reset(options={"instance": i})` plays one
    instance again. The splits are disjoint: `"train"` has the instances from 0, `"val"` those from `2**31` and `"test"`
    those from `2**31 + 2**30` to `2**32 - 1`; an instance of another split is refused.

    ## Episode End

    1. Termination: the held-out accuracy is at least `target_accuracy`.
    2. Termination: the charge of every device is down to its reserve.
    3. Truncation: `max_rounds` rounds are played.

    `max_episode_steps` of `gymnasium.make` can truncate earlier; such an end is not charged with the time left.

    ## Arguments

    | Argument             | Type                  | Default     | Meaning                                             |
    |----------------------|-----------------------|-------------|-----------------------------------------------------|
    | `scenario`           | str, dict, `Scenario` | `"small"`   | a preset's name, or the fields that are not default |
    | `split`              | str                   | `"train"`   | which instances: `"train"`, `"val"` or `"test"`     |
    | `reward_weights`     | dict or None          | None        | weights that differ from the default                |
    | `local_step_choices` | list of int           | `(1, 2, 4)` | local steps of choices 1, 2, ...                    |
    | `render_mode`        | str or None           | None        | `"human"`, `"rgb_array"` or `"ansi"`                |
    | `device`             | str                   | `"cpu"`     | torch device of the learning                        |
    | any scenario field   | JSON                  |             | overrides that field of the scenario                |

    The presets are `"tiny"`, `"small"`, `"paper"` and `"city"`. Any field of a scenario can be changed in
    `gymnasium.make`, a section by an object of some of its fields:

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

    `learning={"model": "none"}` simulates the network alone, with the cost of the quantum learner but without learning:
    the accuracy stays 0. `gymnasium.make_vec("qfl/Scheduling-v0", num_envs=8)` plays many episodes in one batch; row
    `i` equals the environment that was seeded with the seed of that row.

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
