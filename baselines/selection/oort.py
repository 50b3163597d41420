"""Oort: data that help and devices that are quick (Lai et al. 2021, OSDI, arXiv 2010.06081).

The functions are the formulas of the article and of its published code; :class:`Oort` keeps the books. A device is
worth U = |B| sqrt(mean squared loss). Such values are clipped, scaled to [0, 1], raised the longer nobody has asked
the device, and multiplied by (T / t)^alpha if it takes t > T. Some participants are drawn from those of greatest value,
the others from those that were never asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from baselines.estimates import alone_seconds
from baselines.rules import Selection, slots
from qfl_envs.view import NetworkView


def statistical_utility(num_samples: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """|B| sqrt(mean squared loss) of each device, its samples taken to have one loss: (N), (N) -> (N)."""
    return num_samples * np.sqrt(np.asarray(loss) ** 2)


def clipped(utility: np.ndarray, quantile: float) -> np.ndarray:
    """Utilities (M), none above the one that this share of them lies below, scaled to [0, 1].

    The scale ends at the greatest value before clipping and begins just below the least, so that nobody is worth 0.
    """
    ordered = np.sort(utility)
    cap = ordered[min(int(len(ordered) * quantile), len(ordered) - 1)]
    least = 0.999 * ordered[0]
    return (np.minimum(utility, cap) - least) / max(ordered[-1] - least, 1e-4)


def temporal_uncertainty(round_number: int, last_round: np.ndarray) -> np.ndarray:
    """sqrt(0.1 ln R / L) in round R for devices that took part last in round L, both counted from 1."""
    return np.sqrt(0.1 * np.log(round_number) / last_round)


def system_factor(seconds: np.ndarray, preferred_s: float, alpha: float) -> np.ndarray:
    """(T / t)^alpha for devices that take t longer than the preferred T, 1 for others."""
    return np.where(seconds > preferred_s, (preferred_s / np.maximum(seconds, 1e-12)) ** alpha, 1.0)


@dataclass
class Pacer:
    """The preferred duration T, as a percentile of the durations of all devices.

    Every ``window`` rounds the utility that was exploited is compared with that of the window before: while it stays
    within a tenth, ``step`` percent more of the devices count as quick; where it changes more than fivefold, fewer.

    Attributes:
        window: Rounds.
        step: Percent.
        percentile: Present value, at most 100, where nobody is slow.
        history: Mean utility of the exploited devices that delivered, round by round.
    """

    window: int = 20
    step: float = 5.0
    percentile: float = 30.0
    history: list[float] = field(default_factory=list)

    def record(self, utility: float) -> None:
        """Note the utility of a round, and adjust."""
        self.history.append(utility)
        rounds, window = len(self.history), self.window
        if rounds < 2 * window or rounds % window:
            return
        before, now = sum(self.history[-2 * window : -window]), sum(self.history[-window:])
        if abs(now - before) <= 0.1 * before:
            self.percentile = min(self.percentile + self.step, 100.0)
        elif abs(now - before) >= 5 * before:
            self.percentile = max(self.percentile - self.step, self.step)

    def preferred_s(self, seconds: np.ndarray) -> float:
        """T, given how long each device takes."""
        if self.percentile >= 100.0:
            return np.inf
        return float(np.sort(seconds)[min(int(len(seconds) * self.percentile / 100), len(seconds) - 1)])


class Oort(Selection):
    """Oort: as many devices as sub-channels, most useful for their loss and speed, some of them never asked before.

    The server knows how long everybody would take this round, so that durations need not be remembered. Who was asked
    in vain counts as asked, with a utility of 0.
    """

    name = "oort"
    exploration: ClassVar[tuple[float, float, float]] = (0.9, 0.95, 0.2)
    """Share of participants never asked before: at the start, its decay per round, and the least."""
    alpha: ClassVar[float] = 2.0
    clip: ClassVar[float] = 0.98
    cut_off: ClassVar[float] = 0.95
    """Exploited devices are drawn from those with at least this share of the utility of the last that would fit."""
    widening: ClassVar[float] = 5.0
    """Devices never asked are drawn from so many times as many as are needed, the most promising ones."""

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Forget other episodes."""
        super().reset(env, seed)
        n = self.env.scenario.num_devices
        self._pacer, self._explores, self._round = Pacer(), self.exploration[0], 0
        self._last_round, self._utility = np.zeros(n, dtype=int), np.zeros(n)
        self._exploited = np.zeros(n, dtype=bool)

    def pick(self, view: NetworkView) -> np.ndarray:
        """Exploit, explore, and fill up at random."""
        if self._round > 0:
            self._learn(view)
        self._round += 1
        seconds = alone_seconds(view)
        factor = system_factor(seconds, self._pacer.preferred_s(seconds), self.alpha)
        asked = self._last_round > 0
        _, decay, least = self.exploration
        self._explores = max(self._explores * decay, least) if not asked.all() else 0.0
        size = min(slots(view), int(view.available.sum()))
        chosen = self._exploit(view.available & asked, factor, int(size * (1 - self._explores)))
        self._exploited = chosen.copy()
        unknown = np.flatnonzero(view.available & ~asked)
        wanted = min(size - int(chosen.sum()), len(unknown))
        promise = view.num_samples[unknown] * factor[unknown]
        promising = np.argsort(-promise, kind="stable")[: int(self.widening * wanted)]
        chosen[self._draw(unknown[promising], promise[promising], wanted)] = True
        rest = np.flatnonzero(view.available & ~chosen)
        chosen[self.rng.choice(rest, size - int(chosen.sum()), replace=False)] = True
        self._last_round = np.where(chosen, self._round, self._last_round)
        return chosen

    def _learn(self, view: NetworkView) -> None:
        """Read off what the last participants reported, and who of them did."""
        asked = self._last_round == self._round
        heard = asked & (view.age == 0)
        utility = statistical_utility(view.num_samples, view.loss)
        self._utility = np.where(heard, utility, np.where(asked, 0.0, self._utility))
        exploited = heard & self._exploited
        self._pacer.record(float(self._utility[exploited].mean()) if exploited.any() else 0.0)

    def _exploit(self, known: np.ndarray, factor: np.ndarray, count: int) -> np.ndarray:
        """Draw so many of the known devices (N), at most all, by their utility."""
        chosen, devices = np.zeros(len(known), dtype=bool), np.flatnonzero(known)
        count = min(count, len(devices))
        if count == 0:
            return chosen
        uncertainty = temporal_uncertainty(self._round, self._last_round[devices])
        score = (clipped(self._utility[devices], self.clip) + uncertainty) * factor[devices]
        last = np.sort(score)[::-1][min(count, len(score) - 1)]
        worthy = score >= self.cut_off * last
        chosen[self._draw(devices[worthy], score[worthy], count)] = True
        return chosen

    def _draw(self, devices: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
        """So many different devices, each with a probability that goes with its weight."""
        if count == 0:
            return devices[:0]
        weights = np.maximum(weights, 1e-9)
        return self.rng.choice(devices, count, replace=False, p=weights / weights.sum())
