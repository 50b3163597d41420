"""What the pages of all environments say alike, put into their class docstrings where these name it in brackets."""

from __future__ import annotations

import textwrap
from typing import TypeVar

Class = TypeVar("Class", bound=type)

OBSERVATIONS = """\
`Dict` of float32 `Box`es with one level, all within [-1, 1]. It holds what the server can know when it decides,
nothing of what is drawn or measured later. N is the number of devices, C that of cells, K that of sub-channels. A
quantity is clipped to its bounds and mapped to [-1, 1] on its scale: `linear`; `log`, uniform in the logarithm; `dB`,
uniform in decibels; `log1p`, uniform in the logarithm of one plus the value.

| Key             | Shape          | Quantity                              | Unit  | Low, high            | Scale  |
|-----------------|----------------|---------------------------------------|-------|----------------------|--------|
"""
GAIN_OF_CELLS = """\
| `gain`          | `(N * C,)`     | power gain to each cell (1)           | ratio | -160 dB, -60 dB      | dB     |
"""
GAIN_OF_SUBCHANNELS = """\
| `gain`          | `(N * C * K,)` | power gain on each sub-channel (1)    | ratio | -160 dB, -60 dB      | dB     |
"""
DEVICES = """\
| `step_s`        | `(N,)`         | time of one local step this round     | s     | fastest, slowest (2) | log    |
| `cpu_hz`        | `(N,)`         | clock left for training this round    | Hz    | lowest, highest (3)  | log    |
| `battery_j`     | `(N,)`         | charge                                | J     | 0, fullest (4)       | linear |
| `available`     | `(N,)`         | 1 if it can take part this round (5)  |       | 0, 1                 | linear |
| `num_samples`   | `(N,)`         | training samples                      |       | 0, most (6)          | linear |
| `loss`          | `(N,)`         | last loss that it reported (7)        | nats  | 0, 10                | log1p  |
| `age`           | `(N,)`         | rounds since it last delivered (8)    |       | 0, `max_rounds`      | log1p  |
"""
ACCURACIES = """\
| `accuracy`      | `(1,)`         | held-out accuracy of the global model |       | 0, 1                 | linear |
| `best_accuracy` | `(1,)`         | best of the episode so far            |       | 0, 1                 | linear |
"""
ROUNDS = """\
| `round_index`   | `(1,)`         | rounds played                         |       | 0, `max_rounds`      | linear |
| `last_round_s`  | `(1,)`         | duration of the last round            | s     | 0, longest (9)       | linear |
"""
NOTE_OF_CELLS = """\
1. The mean over the sub-channels. Entry `n * C + c` belongs to device `n` and cell `c`.
"""
NOTE_OF_SUBCHANNELS = """\
1. Entry `(n * C + c) * K + k` belongs to device `n`, cell `c` and sub-channel `k`.
"""
NOTES = """\
2. A step on a free device with clock `fleet.cpu_hz[1]` and shots of `fleet.shot_s[0]`, and one on a device with
   clock `fleet.cpu_hz[0]` and shots of `fleet.shot_s[1]`, nine tenths of which other work takes.
3. `0.1 * fleet.cpu_hz[0]` and `fleet.cpu_hz[1]`.
4. `fleet.battery_j[1]`.
5. It belongs to the fleet, has a link and a charge above the reserve, and no update of it is under way.
6. `1 + learning.size_spread` times the mean amount of data, rounded up.
7. The loss, on its own data, of the model that it received in the last round in which it delivered; with
   `learning.monitored`, that of the present model, as of the last round in which it had a link. A device that has
   reported nothing yet shows the loss of a uniform guess, the logarithm of 10.
8. Rounds since the start if it has not delivered yet.
9. `deadline_s`, or `learning.patience` times that where the server waits for everybody.
"""
NOTE_OF_SLOTS = """\
1. The mean over the sub-channels. Entry `s * C + c` belongs to slot `s` and cell `c`.
"""
VIEW = """\

`env.unwrapped.view(observation)` gives the same as a `NetworkView` in physical units (gains as `(N, C, K)` linear
ratios, the serving cell, noise, bandwidth, payload and the scenario's constants), which solvers and rules read. Nothing
but the observation enters it.
"""
INFO = """\
`info` is for logs; some of it no server could know. `reset` gives `instance` and `accuracy`, `step` these:

| Key                 | Shape  | Meaning                                                      |
|---------------------|--------|--------------------------------------------------------------|
| `reward_terms`      | dict   | each term of the reward, unweighted                          |
| `round_s`           |        | duration of the round, s                                     |
| `energy_j`          |        | energy of all devices in the round, J                        |
| `elapsed_s`         |        | simulated time since the start, s                            |
| `total_energy_j`    |        | energy since the start, J                                    |
| `sum_rate_bps`      |        | sum of the participants' uplink rates, bit/s                 |
| `bits_sent`         |        | bits that left the devices                                   |
| `accuracy`          |        | held-out accuracy after the round, in the data of that round |
| `best_accuracy`     |        | best held-out accuracy of the episode so far                 |
| `loss`              |        | held-out cross-entropy, nats                                 |
| `device_loss`       | `(N,)` | cross-entropy of the new model on each device's data, nats   |
| `accuracy_variance` |        | variance of the accuracy over the devices                    |
| `worst_accuracy`    |        | mean accuracy of the worst tenth of the devices              |
| `jain`              |        | Jain's fairness index of the devices' accuracies             |
| `drifted`           |        | mean share of the devices' data that has drifted             |
| `participation`     | `(N,)` | bool, who took part, after repair                            |
| `delivered`         | `(N,)` | bool, whose update arrived in this round                     |
| `late`              | `(N,)` | bool, whose update took too long                             |
| `lost`              | `(N,)` | bool, whose packet arrived in error                          |
| `depleted`          | `(N,)` | bool, whose battery ended before the upload did              |
| `repaired`          | `(N,)` | bool, whose part of the action could not be done             |
| `target_reached`    |        | bool, whether the target accuracy is reached                 |
"""
REPAIR = """\
A device that is asked to take part but cannot (it has left the fleet, has no link, is still busy, or its charge is down
to the reserve) idles, which is reported in `info["repaired"]`. An action outside the space raises `InvalidValueError`.
"""
COMMON_REWARDS = """\
Over an episode `progress` adds up to the share of the way to the target that the best model made, `time` to minus
the share of the longest episode's simulated time that was used, `energy` to minus the share of the stored energy.
The last round of an episode that misses the target is charged with all time that was left, so that giving up early
saves none. So the return ranks policies by simulated seconds and joules to the target, weighed like this.
"""
VECTOR_REWARD = """\
With `vector_reward=True` the reward is the vector of the unweighted terms, in the order of this table, in the manner of
MO-Gymnasium: `env.unwrapped.reward_space` is their `Box`, and the weights have no effect.
"""
START = """\
`reset` draws the number of an instance from the split, and everything in the episode from that number: places and
headings of the devices, clocks, charges, links, shadowing, fading, load, the data of every device, the untrained
model and all that happens later. Rounds played, time and energy are 0, ages are 0.

`reset(seed=s)` seeds the sequence of instances, `reset()` goes on in it. `reset(options={"instance": i})` plays one
instance again. The splits are disjoint: `"train"` has the instances from 0, `"val"` those from `2**31` and `"test"`
those from `2**31 + 2**30` to `2**32 - 1`; an instance of another split is refused.

A curriculum can make episodes easier at first: its stages say which share of the fleet, of the spread between devices
and of the drift an episode has. The environment keeps the stage and reads it at every reset, also at those that a
vector environment does by itself: `env.unwrapped.set_curriculum_stage(0)` begins with the easiest of them,
`env.unwrapped.advance_curriculum()` goes on to the next. Without these calls every episode is the whole scenario.
"""
TARGET_END = """\
1. Termination: the held-out accuracy is at least `target_accuracy`.
2. Termination: the charge of every device of the fleet is down to its reserve.
3. Truncation: `max_rounds` rounds are played.

`max_episode_steps` of `gymnasium.make` can truncate earlier; such an end is not charged with the time left.
"""
ARGUMENTS = """\
| Argument             | Type                  | Default     | Meaning                                               |
|----------------------|-----------------------|-------------|-------------------------------------------------------|
| `scenario`           | str, dict, `Scenario` | `"small"`   | a preset's name, or the fields that are not default   |
| `split`              | str                   | `"train"`   | which instances: `"train"`, `"val"` or `"test"`       |
| `reward_weights`     | dict or None          | None        | weights that differ from the default                  |
"""
MORE_ARGUMENTS = """\
| `vector_reward`      | bool                  | False       | whether the reward is the vector of its terms         |
| `curriculum`         | list of dict or None  | None        | stages (`fleet`, `heterogeneity`, `drift`, 0 to 1)    |
| `curriculum_stage`   | int or None           | None        | stage to begin with; the last one if None             |
| `render_mode`        | str or None           | None        | `"human"`, `"rgb_array"` or `"ansi"`                  |
| `device`             | str                   | `"cpu"`     | torch device of the learning                          |
| any scenario field   | JSON                  |             | overrides that field of the scenario                  |

The presets are `"tiny"`, `"small"`, `"paper"` and `"city"`. Any field of a scenario can be changed in
`gymnasium.make`, a section by an object of some of its fields.
"""
TIERS = """\
`learning={"model": "surrogate"}` replaces the quantum learner by a calibrated model of how it converges, which is much
faster; `{"model": "none"}` simulates the network alone, with the cost of the quantum learner but without learning.
`gymnasium.make_vec` with the environment's id plays many episodes in one batch; row `i` equals the environment that was
seeded with the seed of that row.
"""
PARTS = {
    "observations of cells": OBSERVATIONS + GAIN_OF_CELLS + DEVICES + ACCURACIES + ROUNDS,
    "observations of sub-channels": OBSERVATIONS + GAIN_OF_SUBCHANNELS + DEVICES + ACCURACIES + ROUNDS,
    "observations without accuracy": OBSERVATIONS + GAIN_OF_CELLS + DEVICES + ROUNDS,
    "observations of slots": (OBSERVATIONS + GAIN_OF_CELLS + DEVICES).replace("`(N", "`(S") + ACCURACIES + ROUNDS,
    "notes of cells": NOTE_OF_CELLS + NOTES + VIEW,
    "notes of slots": NOTE_OF_SLOTS + NOTES + VIEW.replace("(N, C, K)", "(S, C, K)"),
    "notes of sub-channels": NOTE_OF_SUBCHANNELS + NOTES + VIEW,
    "info": INFO,
    "repair": REPAIR,
    "common rewards": COMMON_REWARDS,
    "vector reward": VECTOR_REWARD,
    "start": START,
    "end at target": TARGET_END,
    "arguments": ARGUMENTS,
    "more arguments": MORE_ARGUMENTS,
    "tiers": TIERS,
}


def page(cls: Class) -> Class:
    """Decorate an environment: put in the parts that its docstring names, each alone on a line in brackets."""
    document = textwrap.dedent("    " + (cls.__doc__ or ""))
    for name, text in PARTS.items():
        document = document.replace(f"[{name}]\n", text)
    cls.__doc__ = document
    return cls
