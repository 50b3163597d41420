"""Rules that rank the devices by one number and take as many as there are sub-channels."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from baselines.estimates import alone_seconds
from baselines.rules import Selection, slots
from qfl_envs.view import NetworkView


def first_available(view: NetworkView, count: int, *keys: np.ndarray) -> np.ndarray:
    """The available devices that come first.

    Args:
        view: Says who is available.
        count: How many at most.
        keys: (N) each, least first; a later one decides where all earlier ones are equal, the index at last.

    Returns:
        (N) bool.
    """
    order = np.lexsort((*reversed(keys), ~view.available))
    chosen = np.zeros(len(view.available), dtype=bool)
    chosen[order[:count]] = True
    return chosen & view.available


class RandomK(Selection):
    """As many devices as sub-channels, drawn at random (McMahan et al. 2017, arXiv 1602.05629)."""

    name = "random-k"

    def pick(self, view: NetworkView) -> np.ndarray:
        """A uniform draw from the available devices."""
        return first_available(view, slots(view), self.rng.random(len(view.available)))


class FastestK(Selection):
    """As many devices as sub-channels, those that would be ready first."""

    name = "fastest-k"

    def pick(self, view: NetworkView) -> np.ndarray:
        """The least estimated times."""
        return first_available(view, slots(view), alone_seconds(view))


class AgeOfUpdate(Selection):
    """As many devices as sub-channels, those that have been silent for longest; of equals, those that are ready first.

    Age of update after Yang et al. 2020 (ICASSP, arXiv 1910.14648), who weigh it with the channel by the number of
    sub-channels that a device needs; here each needs one.
    """

    name = "age-of-update"

    def pick(self, view: NetworkView) -> np.ndarray:
        """The greatest ages."""
        return first_available(view, slots(view), -view.age, alone_seconds(view))


class ProportionalFair(Selection):
    """As many devices as sub-channels, whose channels are best compared with their own mean.

    After Yang et al. 2020 (IEEE Trans. Commun. 68(1), arXiv 1908.06287), who rank by the instantaneous over the
    time-averaged signal-to-noise ratio. The average is taken over the rounds seen so far; of equals, as all are in the
    first round, those with the best channel.
    """

    name = "proportional-fair"

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Forget the channels of other episodes."""
        super().reset(env, seed)
        self._sum, self._rounds = np.zeros(()), 0

    def pick(self, view: NetworkView) -> np.ndarray:
        """The greatest ratios."""
        gain = view.gain.mean(-1)[np.arange(len(view.serving_cell)), view.serving_cell]
        self._sum, self._rounds = self._sum + gain, self._rounds + 1
        return first_available(view, slots(view), -gain * self._rounds / self._sum, -gain)
