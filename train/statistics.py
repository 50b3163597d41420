"""Summaries of a few seeds, with intervals; scipy does the resampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 2000
CONFIDENCE = 0.95
MIN_SEEDS = 5
"""Fewer values give no interval worth printing."""


@dataclass(frozen=True)
class Estimate:
    """A statistic with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """``value [low, high]``."""
        return format(self, "")

    def __format__(self, sign: str) -> str:
        """``value [low, high]``, with ``+`` in front of positive numbers if asked for."""
        return f"{self.value:{sign}.2f} [{self.low:{sign}.2f}, {self.high:{sign}.2f}]"

    def overlaps(self, other: Estimate) -> bool:
        """Whether the two intervals have a value in common."""
        return self.low <= other.high and other.low <= self.high


def interquartile_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of the middle half (Agarwal et al. 2021, arXiv 2108.13264)."""
    return np.asarray(stats.trim_mean(values, 0.25, axis=axis))


def estimate(values: Sequence[float], statistic: Callable[..., np.ndarray] = np.mean) -> Estimate:
    """A statistic of independent values, with the percentile bootstrap.

    Args:
        values: One per seed.
        statistic: Function of values and ``axis``.

    Returns:
        The estimate; a single or constant value is its own interval.
    """
    array = np.asarray(values, dtype=float)
    point = float(statistic(array, axis=-1))
    if len(array) < 2 or np.ptp(array) == 0:
        return Estimate(point, point, point)
    result = stats.bootstrap(
        (array,),
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return Estimate(point, float(result.confidence_interval.low), float(result.confidence_interval.high))


def paired_difference(values: dict[int, float], reference: dict[int, float]) -> Estimate | None:
    """Mean difference over the seeds that both have, since both met the same instances; None without such seeds."""
    seeds = sorted(values.keys() & reference.keys())
    return estimate([values[seed] - reference[seed] for seed in seeds]) if seeds else None
