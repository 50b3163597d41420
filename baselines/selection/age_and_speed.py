"""Who has been silent for long, and is ready soon."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from baselines.estimates import alone_joules, alone_seconds
from baselines.rules import Selection, slots
from qfl_envs.system.decision import Decision
from qfl_envs.view import NetworkView

MARGIN = 0.95
"""Share of the deadline that is planned with."""


def most_per_second(value: np.ndarray, seconds: np.ndarray, most: int) -> np.ndarray:
    """The set of at most so many devices with the greatest sum of values per second of a round of them.

    The round lasts as long as the slowest of them. So the answer is, for one of the M durations, those of greatest
    value among all who are as quick as that.

    Args:
        value: (M) positive.
        seconds: (M) positive.
        most: Devices at most, at least one.

    Returns:
        (M) bool; of equal sets that of the shortest round, of devices of equal value the quicker ones.
    """
    order = np.lexsort((-value, seconds))
    best, best_rate = order[:0], 0.0
    within = np.zeros(0, dtype=int)
    for device in order:
        within = np.append(within, device)
        within = within[np.lexsort((seconds[within], -value[within]))[:most]]
        rate = value[within].sum() / seconds[within].max()
        if rate > best_rate:
            best, best_rate = within, rate
    chosen = np.zeros(len(value), dtype=bool)
    chosen[best] = True
    return chosen


class AgeAndSpeed(Selection):
    """The few devices that have been silent for long and lost most when they were heard, per second of a round.

    With labels that differ from device to device, those heard of late are what the model has most to learn from: the
    balance of round robin, without its wait for the slow. The loss that a device last reported says how well its labels
    are known. It is worth (1 + age)^a loss^b. Who would miss the deadline, or run down its battery, is left out; if
    that leaves nobody, the quickest device goes.
    """

    name = "age-and-speed"

    def __init__(
        self,
        occupancy: float = 0.8,
        age_exponent: float = 2.0,
        loss_exponent: float = 0.5,
        local_steps: int = 1,
        jitter: float = 0.0,
    ) -> None:
        """Set it up; the defaults were chosen on the split val of ``small``.

        Args:
            occupancy: Participants at most, as a share of the sub-channels; above 1 only where devices take turns.
            age_exponent: The larger, the longer are the rounds that bring in the slow.
            loss_exponent: The larger, the more do those take part whose labels are not known well.
            local_steps: Of every participant.
            jitter: Standard deviation of the logarithm of a random factor of every device's worth.
        """
        super().__init__()
        self.occupancy, self.local_steps, self.jitter = occupancy, local_steps, jitter
        self.age_exponent, self.loss_exponent = age_exponent, loss_exponent

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Begin an episode; where the agent cannot choose the local steps, plan with those that there are."""
        super().reset(env, seed)
        choices = getattr(self.env.task, "local_steps", None)
        self._steps = self.local_steps
        if choices is None:
            self._steps = self.env.scenario.learning.local_steps

    def decide(self, view: NetworkView) -> Decision:
        """Pick, and give everyone the same number of local steps."""
        picked = super().decide(view)
        steps = np.full(picked.participate.shape, self._steps)
        return Decision(picked.participate, subchannel=picked.subchannel, local_steps=steps)

    def pick(self, view: NetworkView) -> np.ndarray:
        """The best value per second."""
        seconds = alone_seconds(view, self._steps)
        # a loss of 0 would make a device worthless for good
        value = (1.0 + view.age) ** self.age_exponent * np.maximum(view.loss, 1e-3) ** self.loss_exponent
        if self.jitter > 0:
            value = value * np.exp(self.jitter * self.rng.standard_normal(len(value)))
        in_time = seconds <= MARGIN * view.scenario.deadline_s
        able = np.flatnonzero(view.available & in_time & (alone_joules(view, self._steps) < view.battery_j))
        most = max(round(min(self.occupancy, np.inf if view.time_share else 1.0) * slots(view)), 1)
        chosen = np.zeros(len(seconds), dtype=bool)
        if len(able):
            chosen[able[self.best_set(value[able], seconds[able], most)]] = True
        elif view.available.any():
            chosen[np.where(view.available, seconds, np.inf).argmin()] = True
        return chosen

    def best_set(self, value: np.ndarray, seconds: np.ndarray, most: int) -> np.ndarray:
        """(M) bool, at most so many of M devices with values and seconds (M)."""
        return most_per_second(value, seconds, most)
