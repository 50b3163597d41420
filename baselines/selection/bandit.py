"""CS-UCB-Q: a bandit that learns who is quick, and a queue that gives all a share (Xia et al. 2020, IEEE TWC 19(11)).

arXiv 2007.02315. A participant that takes tau earns 1 - tau / tau_max. The functions are the article's formulas.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from baselines.estimates import alone_seconds
from baselines.rules import Selection, slots
from baselines.selection.ranking import first_available
from qfl_envs.view import NetworkView


def reward(seconds: np.ndarray, longest_s: float) -> np.ndarray:
    """1 - tau / tau_max, 0 for who takes longer."""
    return 1 - np.minimum(seconds / longest_s, 1.0)


def upper_bound(mean_reward: np.ndarray, plays: np.ndarray, round_number: int) -> np.ndarray:
    """min(mean + sqrt(2 ln t / plays), 1) in round t, counted from 1; 1 for who never played."""
    width = np.sqrt(2 * np.log(round_number) / np.maximum(plays, 1))
    return np.where(plays > 0, np.minimum(mean_reward + width, 1.0), 1.0)


def next_queue(queue: np.ndarray, fair_share: np.ndarray | float, played: np.ndarray) -> np.ndarray:
    """max(D + c - b, 0): grows by the share of rounds that is due to a device, falls by 1 when it plays."""
    return np.maximum(queue + fair_share - played, 0.0)


class CsUcbQ(Selection):
    """CS-UCB-Q: as many devices as sub-channels, by the upper bounds of their speed and how much they are owed.

    The rank is (1 - beta) bound + beta queue. It knows nothing of this round's channels and loads, only how long those
    took that were asked before; who was asked in vain earned nothing.
    """

    name = "cs-ucb-q"
    beta: ClassVar[float] = 0.5
    """Weight of the queue."""
    fair_share: ClassVar[float] = 0.8
    """Rounds that are due to each device, as a share of those of an equal division."""

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Forget other episodes."""
        super().reset(env, seed)
        n = self.env.scenario.num_devices
        self._round, self._mean, self._queue = 0, np.zeros(n), np.zeros(n)
        self._plays, self._played, self._promised = np.zeros(n, dtype=int), np.zeros(n, dtype=bool), np.zeros(n)

    def pick(self, view: NetworkView) -> np.ndarray:
        """The greatest weighted sums."""
        count = slots(view)
        if self._round > 0:
            due = self.fair_share * min(count / len(view.available), 1.0)
            earned = np.where(view.age == 0, self._promised, 0.0)
            self._plays = self._plays + self._played
            self._mean = self._mean + np.where(self._played, earned - self._mean, 0.0) / np.maximum(self._plays, 1)
            self._queue = next_queue(self._queue, due, self._played)
        self._round += 1
        bound = upper_bound(self._mean, self._plays, self._round)
        rank = (1 - self.beta) * bound + self.beta * self._queue
        self._played = first_available(view, count, -rank)
        self._promised = reward(alone_seconds(view), view.scenario.deadline_s)
        return self._played
