"""Differential privacy of the merged update: clipping, Gaussian noise, and an accountant in closed form.

The mean of n updates, each clipped to a length of C, changes by at most 2 C / n when one device's update is replaced by
another. Gaussian noise of standard deviation z 2 C / n then is 1 / (2 z^2)-zCDP, which adds up over rounds, and
rho-zCDP implies (rho + 2 sqrt(rho ln(1 / delta)), delta)-differential privacy (Bun & Steinke 2016, propositions 1.3
and 1.6).
No amplification by sampling is claimed: which devices take part is no secret here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qfl_envs.errors import InvalidValueError


def noise_std(noise_multiplier: float, clip_norm: float, count: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise on every coordinate of a mean of (E) clipped updates."""
    return noise_multiplier * 2 * clip_norm / np.maximum(count, 1)


def private_update(
    update: np.ndarray, count: np.ndarray, noise_multiplier: float, clip_norm: float, normal: np.ndarray
) -> np.ndarray:
    """Means (E, P) of clipped updates, with noise from standard normal numbers (E, P); as it is where nothing came."""
    std = np.where(count > 0, noise_std(noise_multiplier, clip_norm, count), 0.0)
    return update + std[:, None] * normal


@dataclass
class Accountant:
    """What has been spent so far.

    Attributes:
        rho: zCDP of all rounds together.
    """

    rho: float = 0.0

    def spend(self, noise_multiplier: float, rounds: int = 1) -> None:
        """Account for rounds with noise.

        Raises:
            InvalidValueError: Without noise, which costs all privacy there is, or for a negative number of rounds.
        """
        if not noise_multiplier > 0.0:
            raise InvalidValueError("noise_multiplier", noise_multiplier, "a number above 0")
        if rounds < 0:
            raise InvalidValueError("rounds", rounds, "at least 0")
        self.rho += rounds / (2 * noise_multiplier**2)

    def epsilon(self, delta: float = 1e-5) -> float:
        """Epsilon that holds except with probability delta.

        Raises:
            InvalidValueError: For a delta outside 0 ... 1.
        """
        if not 0.0 < delta < 1.0:
            raise InvalidValueError("delta", delta, "between 0 and 1")
        return self.rho + 2 * math.sqrt(self.rho * math.log(1 / delta))


def noise_for(epsilon: float, delta: float, rounds: int) -> float:
    """Noise multiplier by which so many rounds together spend epsilon.

    Raises:
        InvalidValueError: For an epsilon that is not positive, a delta outside 0 ... 1, or fewer rounds than one.
    """
    if not epsilon > 0.0:
        raise InvalidValueError("epsilon", epsilon, "a number above 0")
    if not 0.0 < delta < 1.0:
        raise InvalidValueError("delta", delta, "between 0 and 1")
    if rounds < 1:
        raise InvalidValueError("rounds", rounds, "at least 1")
    log = math.log(1 / delta)
    root = math.sqrt(log + epsilon) - math.sqrt(log)
    return math.sqrt(rounds / 2) / root
