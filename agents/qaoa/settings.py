"""QAOA for discrete training settings under drift, and its controls.

The twelve settings of the local steps are three learning rates, two dropouts and two quantisations: three one-hot
variables. What a round under a setting was worth is how far the logarithm of the mean reported loss fell in it. A
quadratic energy, with a term for every option and for every pair of options, is fitted to the rounds of the episode so
far, and its circuit says what to try next. With twelve settings enumeration takes microseconds: that is the control,
beside as many uniform draws as there are shots.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from agents.qaoa.account import CircuitAccount
from agents.qaoa.angles import linear_ramp
from agents.qaoa.one_hot import OneHotQAOA
from baselines.adaptation import round_of
from qfl_envs.competitor import Cost, Kind, Rule
from qfl_envs.system.decision import Decision
from qfl_envs.system.learning.adaptation import CANDIDATES, Adaptation
from qfl_envs.view import NetworkView

OPTIONS = (3, 2, 2)
"""Rates, dropouts and quantisations, in the order of the candidates."""


def _features() -> np.ndarray:
    """(12, F) of every candidate: 1 for each of its options and each pair of them, alone the first 7."""
    one_hot = [np.eye(size) for size in OPTIONS]
    rows = []
    for chosen in np.ndindex(*OPTIONS):
        alone = [one_hot[i][option] for i, option in enumerate(chosen)]
        pairs = [np.outer(alone[i], alone[j]).ravel() for i in range(3) for j in range(i)]
        rows.append(np.concatenate([*alone, *pairs]))
    return np.stack(rows)


FEATURES = _features()


class SettingsModel:
    """A quadratic energy over settings, by ridge regression on what rounds were worth, the last ones most."""

    def __init__(self, memory: float = 0.9, ridge: tuple[float, float] = (0.3, 1.0)) -> None:
        """Begin without rounds.

        Args:
            memory: How much a round counts in comparison with the next one; data drift.
            ridge: Pull towards 0 of the terms of options, and of pairs.
        """
        self._memory = memory
        single = sum(OPTIONS)
        self._ridge = np.repeat(ridge, [single, FEATURES.shape[1] - single])
        self.tried: list[int] = []
        self.worth: list[float] = []

    def observe(self, setting: int, worth: float) -> None:
        """Add a round: the fall of the logarithm of the loss."""
        self.tried.append(setting)
        self.worth.append(worth)

    def cost(self) -> np.ndarray:
        """(3, 2, 2) energy of each setting: minus its expected worth; all 0 without rounds."""
        if not self.tried:
            return np.zeros(OPTIONS)
        weight = self._memory ** np.arange(len(self.tried))[::-1]
        features, worth = FEATURES[self.tried], np.array(self.worth)
        worth = worth - np.average(worth, weights=weight)
        normal = (features * weight[:, None]).T @ features + np.diag(self._ridge)
        terms = np.linalg.solve(normal, features.T @ (weight * worth))
        return -(FEATURES @ terms).reshape(OPTIONS)


class Settings(Rule):
    """Fine-tunes in every round, with everybody, under settings that QAOA chooses by the losses so far. Simulated.

    It plays where the environment offers ``"settings"`` among its ``adaptations``.
    """

    name = "qaoa-settings"
    kind: Kind = "quantum"
    by_default = False  # not in the default environment
    environments: ClassVar[tuple[str, ...]] = ("qfl/Drift-v0",)
    arguments: ClassVar[Mapping[str, Any]] = {"adaptations": ("settings",)}
    depth: ClassVar[int] = 3
    shots: ClassVar[int] = 4
    """A third of the settings; with more, the best of the shots is that of all."""

    def __init__(self) -> None:
        """Begin with no circuit run."""
        super().__init__()
        self._account = CircuitAccount()

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Forget what was tried in other episodes."""
        super().reset(env, seed)
        self.model = SettingsModel()
        self._last: tuple[int, float] | None = None

    def decide(self, view: NetworkView) -> Decision:
        """Remember what the last round was worth, and choose the next setting."""
        loss = math.log(max(float(view.loss.mean()), 1e-9))
        if self._last is not None:
            setting, before = self._last
            self.model.observe(setting, before - loss)
        setting = self.pick(view)
        self._last = setting, loss
        return round_of(view, Adaptation.FINE_TUNE, 1.0, setting)

    def pick(self, view: NetworkView) -> int:
        """Number of the setting: the best of a few shots of one circuit."""
        cost = self.model.cost()[None]
        # beta A means the same for variables of different numbers of options A; here there is one angle for all
        angles = linear_ramp(self.depth, round(sum(OPTIONS) / len(OPTIONS)))
        choice, _ = OneHotQAOA(cost, precision="double").best_of_shots(angles, self.shots, [self.rng])
        self._account.ran(1, self.shots)
        self._account.end_decision(view.scenario.fleet)
        return int(np.ravel_multi_index(tuple(choice[0]), OPTIONS))

    def cost(self) -> Cost:
        """Per decision; the processor is the fleet's, with the geometric mean of its seconds per shot."""
        angles = 2 * self.depth if self._account.circuits else 0
        return self._account.cost(self._decisions, self._seconds, angles)


class UniformSettings(Settings):
    """Control of qaoa-settings: the best, by the same losses, of as many uniform settings as it has shots."""

    name = "uniform-settings"
    kind = "classical"

    def pick(self, view: NetworkView) -> int:
        """No circuit."""
        drawn = self.rng.integers(len(CANDIDATES), size=self.shots)
        return int(drawn[self.model.cost().ravel()[drawn].argmin()])


class ExhaustiveSettings(Settings):
    """Control of qaoa-settings: the best of all twelve settings by the same losses, a random one of equals."""

    name = "exhaustive-settings"
    kind = "classical"

    def pick(self, view: NetworkView) -> int:
        """No circuit."""
        cost = self.model.cost().ravel()
        return int(self.rng.choice(np.flatnonzero(cost <= cost.min() + 1e-12)))
