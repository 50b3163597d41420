"""Observed quantities: how each is scaled to [-1, 1] and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from gymnasium import spaces

from qfl_envs.compiled import compiled
from qfl_envs.scenario import DATASETS, Scenario
from qfl_envs.system import devices
from qfl_envs.system.learning.partition import capacity

GAIN_DB = (-160.0, -60.0)
MAX_LOSS = 10.0


@dataclass(frozen=True)
class Feature:
    """A named part of the observation: ``size`` numbers, clipped to ``low`` ... ``high`` and mapped to [-1, 1].

    Attributes:
        name: Key in the observation.
        size: Length of the vector.
        low: Value that becomes -1.
        high: Value that becomes 1.
        scale: ``"linear"``, ``"log"`` (uniform in the logarithm), ``"db"`` (a linear ratio whose decibels are mapped)
            or ``"log1p"`` (uniform in log(1 + value)).
        shared: Whether it is known to all devices; else each device has an equal share of the numbers, its own.
    """

    name: str
    size: int
    low: float
    high: float
    scale: Literal["linear", "log", "db", "log1p"] = "linear"
    shared: bool = False

    @property
    def space(self) -> spaces.Box:
        """The Gymnasium space."""
        return spaces.Box(-1.0, 1.0, (self.size,), np.float32)

    def decode(self, scaled: np.ndarray) -> np.ndarray:
        """The inverse of what :class:`Encoder` does, in float64."""
        _, _, warped_low, factor = self.bounds
        warped = warped_low + (np.asarray(scaled, dtype=np.float64) + 1) / factor
        if self.scale == "linear":
            return warped
        return np.expm1(warped) if self.scale == "log1p" else np.exp(warped)

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Lowest and highest value, the lowest on the scale, and what stretches the scale to a length of 2."""
        lowest, highest = (10 ** (end / 10) if self.scale == "db" else end for end in (self.low, self.high))
        low, high = self._warp(np.array([lowest, highest]))
        return lowest, highest, float(low), float(2 / (high - low))

    def _warp(self, value: np.ndarray) -> np.ndarray:
        if self.scale == "linear":
            return value
        return np.log1p(value) if self.scale == "log1p" else np.log(value)


class Encoder:
    """Encodes several features at once: the same as each by itself, in one pass over all of them."""

    def __init__(self, features: Mapping[str, Feature]) -> None:
        """Note the bounds and scales of all features."""
        self._names = list(features)
        self._named_sizes = [(name, feature.size) for name, feature in features.items()]
        self._sizes = np.array([feature.size for feature in features.values()])
        self._bounds = np.array([feature.bounds for feature in features.values()])
        self._warps = np.array([WARPS[feature.scale] for feature in features.values()])

    def encode(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Values (E, size), or (E) of size 1, in physical units -> float32 (E, size) in [-1, 1], by name."""
        rows = len(values[self._names[0]])
        # one feature of all rows after the other
        ordered = [values[name] for name in self._names]
        physical = np.concatenate(ordered, axis=None, dtype=float, casting="unsafe")
        scaled = np.empty(len(physical), dtype=np.float32)
        _encode(physical, self._sizes, rows, self._bounds, self._warps, scaled)
        encoded, begin = {}, 0
        for name, size in self._named_sizes:
            end = begin + rows * size
            encoded[name] = scaled[begin:end].reshape(rows, size)
            begin = end
        return encoded


WARPS = {"linear": 0, "log": 1, "db": 1, "log1p": 2}
"""What happens to values of each scale before they are mapped to [-1, 1]: nothing, log, log(1 + value)."""


@compiled
def _encode(
    physical: np.ndarray, sizes: np.ndarray, rows: int, bounds: np.ndarray, warps: np.ndarray, scaled: np.ndarray
) -> None:
    """Scale values of all features, one feature after the other: sizes (F), bounds (F, 4) and warps (F) of each."""
    begin = 0
    for feature in range(len(sizes)):
        end = begin + sizes[feature] * rows
        low, high, warped_low, factor = bounds[feature]
        for i in range(begin, end):
            value = min(max(physical[i], low), high)
            if warps[feature] == 1:
                value = math.log(value)
            elif warps[feature] == 2:
                value = math.log1p(value)
            scaled[i] = (value - warped_low) * factor - 1.0
        begin = end


def common_features(scenario: Scenario, gains: int, num_shown: int) -> dict[str, Feature]:
    """What every task shows.

    Args:
        scenario: Sets bounds.
        gains: Gains per device: cells x sub-channels, or cells where the mean over sub-channels is shown.
        num_shown: Devices that are shown.
    """
    n, fleet = num_shown, scenario.fleet
    fastest, slowest = (
        float(devices.step_seconds(scenario, np.array(hz * idle), np.array(shot_s), np.array(1 - idle)))
        for hz, shot_s, idle in ((fleet.cpu_hz[1], fleet.shot_s[0], 1.0), (fleet.cpu_hz[0], fleet.shot_s[1], 0.1))
    )
    # a step that takes no time needs bounds to be scaled by too
    fastest = max(fastest, 1e-12)
    slowest = max(slowest, 2 * fastest)
    most_samples = capacity(scenario.learning, DATASETS[scenario.learning.dataset].train_samples, scenario.num_devices)
    features = (
        Feature("gain", n * gains, *GAIN_DB, "db"),
        Feature("step_s", n, fastest, slowest, "log"),
        Feature("cpu_hz", n, 0.1 * fleet.cpu_hz[0], fleet.cpu_hz[1], "log"),
        Feature("battery_j", n, 0.0, max(fleet.battery_j[1], 1e-9)),
        Feature("available", n, 0.0, 1.0),
        Feature("num_samples", n, 0.0, most_samples),
        Feature("loss", n, 0.0, MAX_LOSS, "log1p"),
        Feature("age", n, 0.0, scenario.max_rounds, "log1p"),
        Feature("accuracy", 1, 0.0, 1.0, shared=True),
        Feature("best_accuracy", 1, 0.0, 1.0, shared=True),
        Feature("round_index", 1, 0.0, scenario.max_rounds, shared=True),
        Feature("last_round_s", 1, 0.0, scenario.longest_round_s, shared=True),
    )
    return {feature.name: feature for feature in features}
