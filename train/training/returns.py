"""Returns and advantages of rounds, and the scale of returns."""

from __future__ import annotations

import torch
from torch import Tensor


def advantages_of(
    rewards: Tensor, values: Tensor, next_values: Tensor, terminated: Tensor, ended: Tensor, gamma: float, decay: float
) -> Tensor:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438).

    Args:
        rewards: (T, E).
        values: (T, E) before each round.
        next_values: (T, E) after it, before a new episode begins.
        terminated: (T, E) bool; nothing is expected after it.
        ended: (T, E) bool, terminated or truncated.
        gamma: Discount.
        decay: Weight of later differences, lambda.

    Returns:
        (T, E).
    """
    differences = rewards + gamma * next_values * ~terminated - values
    advantages, following = torch.empty_like(differences), torch.zeros_like(differences[0])
    for step in range(len(differences) - 1, -1, -1):
        following = differences[step] + gamma * decay * following * ~ended[step]
        advantages[step] = following
    return advantages


class RunningScale:
    """Mean and deviation of all returns so far, so that a critic need not know the scale of a reward."""

    def __init__(self) -> None:
        """Begin with none."""
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, values: Tensor) -> None:
        """Count some more (Chan's parallel form of Welford's sums)."""
        new, mean = values.numel(), float(values.mean())
        total = self.count + new
        self.squares += float((values - mean).square().sum()) + (mean - self.mean) ** 2 * self.count * new / total
        self.mean += (mean - self.mean) * new / total
        self.count = total

    @property
    def deviation(self) -> float:
        """Standard deviation, 1 before there are returns."""
        return max((self.squares / self.count) ** 0.5, 1e-3) if self.count else 1.0

    def normalise(self, values: Tensor) -> Tensor:
        """Without mean, in deviations."""
        return (values - self.mean) / self.deviation

    def restore(self, values: Tensor) -> Tensor:
        """The inverse of :meth:`normalise`."""
        return values * self.deviation + self.mean
