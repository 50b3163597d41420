"""Figure 4b: how soon the model learns under the allocators, and whom the server ever hears."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np

from train import competitors
from train.case_study.settings import ENV_ID, CaseStudy, Series
from train.evaluation import make_env, play

Unit = tuple[str, Series, int]
"""Learner, series and seed."""


def units(study: CaseStudy) -> Iterator[Unit]:
    """Every episode, one seed after the other."""
    for seed in range(study.seeds):
        for learner, series in study.pairs():
            yield learner, series, seed


class Heard(gym.Wrapper[Any, Any, Any, Any]):
    """Keeps account of whose updates arrived, and of their labels.

    Attributes:
        devices: Share of the devices that delivered at least once, at the start and after every round.
        labels: Share of the labels in the data of those devices, likewise.
    """

    def reset(self, **keywords: Any) -> tuple[Any, dict[str, Any]]:
        """Begin with nobody heard."""
        observation, info = super().reset(**keywords)
        # (N, classes) before drift
        self._labels = self.env.unwrapped.system.state.label_share[0, 0] > 0  # type: ignore[attr-defined]
        self._ever = np.zeros(len(self._labels), dtype=bool)
        self.devices, self.labels = [0.0], [0.0]
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Play a round."""
        result = super().step(action)
        self._ever |= result[4]["delivered"]
        present = self._labels.any(0).sum()
        self.devices.append(float(self._ever.mean()))
        self.labels.append(float(self._labels[self._ever].any(0).sum() / max(present, 1)))
        return result


class Episodes:
    """Computes units; keeps the environments, whose learners are slow to build."""

    def __init__(self, study: CaseStudy) -> None:
        """Begin with none."""
        self._study = study
        self._envs: dict[tuple[str, str], Heard] = {}

    def compute(self, unit: Unit) -> dict[str, Any]:
        """One line of results."""
        learner, series, seed = unit
        key = learner, series.access
        if key not in self._envs:
            self._envs[key] = Heard(make_env(ENV_ID, "test", self._study.environment(learner, series)))
        env = self._envs[key]
        episode = play(env, competitors.make(series.competitor), seed)
        return {
            "figure": "4b",
            "learner": learner,
            "series": series.label,
            "seed": seed,
            "seconds": [point[0] for point in episode.curve],
            "accuracy": [point[1] for point in episode.curve],
            "heard_devices": env.devices,
            "heard_labels": env.labels,
            "sum_rate_bps": episode.sum_rate_bps,
            "participants": episode.participants,
            "delivered": episode.delivered,
            "energy_j": episode.energy_j,
            "decision_s": episode.decision_s,
        }


def seconds_to(row: dict[str, Any], accuracy: float) -> float | None:
    """Simulated seconds until the accuracy was first measured; None if it never was."""
    reached = np.flatnonzero(np.array(row["accuracy"]) >= accuracy)
    return float(row["seconds"][reached[0]]) if len(reached) else None
