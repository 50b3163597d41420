"""Summaries of a few seeds, with intervals; scipy does the resampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

RESAMPLES = 2000
CONFIDENCE = 0.95
MIN_SEEDS = 5
"""Fewer values give no interval worth printing."""


@dataclass(frozen=True)
class Estimate:
    """A statistic with its 95 % interval."""

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

    def to_json(self) -> dict[str, float | None]:
        """As JSON values, in which what is infinite or open is null."""
        return {name: value if math.isfinite(value) else None for name, value in vars(self).items()}


def interquartile_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of the middle half (Agarwal et al. 2021, arXiv 2108.13264)."""
    return np.asarray(stats.trim_mean(values, 0.25, axis=axis))


def optimality_gap(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of what scores lack to 1; scores above 1 lack nothing (Agarwal et al. 2021, arXiv 2108.13264)."""
    return np.maximum(1.0 - scores, 0.0).mean(axis=axis)


def estimate(values: Sequence[float], statistic: Callable[..., np.ndarray] = np.mean) -> Estimate:
    """A statistic of independent values, with the percentile bootstrap.

    Args:
        values: One per seed.
        statistic: Function of values and ``axis``.

    Returns:
        The estimate; a single or constant value is its own interval.
    """
    return stratified([values], statistic)


def stratified(strata: Sequence[Sequence[float]], statistic: Callable[..., np.ndarray] = np.mean) -> Estimate:
    """A statistic of all values together, whose bootstrap resamples each stratum by itself.

    Args:
        strata: Values of each, e.g. one per seed in each environment.
        statistic: Function of values and ``axis``.

    Returns:
        The estimate; where no stratum varies, it is its own interval. A stratum of one value is always that value.
    """
    samples = tuple(np.asarray(values, dtype=float) for values in strata)
    alone = np.concatenate([sample for sample in samples if len(sample) == 1] or [np.empty(0)])

    def of_all(*resampled: np.ndarray, axis: int = -1) -> np.ndarray:
        fixed = np.broadcast_to(alone, (*resampled[0].shape[:-1], len(alone)))
        return statistic(np.concatenate([*resampled, fixed], axis=axis), axis=axis)

    point = float(statistic(np.concatenate(samples), axis=-1))
    if all(len(sample) < 2 or np.ptp(sample) == 0 for sample in samples):
        return Estimate(point, point, point)
    low, high = _interval(tuple(sample for sample in samples if len(sample) > 1), of_all)
    return Estimate(point, float(low), float(high))


def probability_of_improvement(
    values: Sequence[Sequence[float]], opponent: Sequence[Sequence[float]]
) -> Estimate | None:
    """How likely one is better than an opponent: the Mann-Whitney statistic over all pairs, a mean over environments.

    Agarwal et al. 2021, arXiv 2108.13264. Both met the same instances, so that seeds are resampled, each with the
    values of both.

    Args:
        values: For each environment, one per seed.
        opponent: The same of the opponent, in the same order.

    Returns:
        The share of the pairs in which the value is higher, equal ones half; None without values.
    """
    strata = [
        (np.asarray(ours, float), np.asarray(theirs, float)) for ours, theirs in zip(values, opponent, strict=True)
    ]
    if not strata or any(len(ours) == 0 for ours, _ in strata):
        return None
    wins = [(ours[:, None] > theirs) + 0.5 * (ours[:, None] == theirs) for ours, theirs in strata]
    point = float(np.mean([matrix.mean() for matrix in wins]))
    if all(np.ptp(matrix) == 0 for matrix in wins):
        return Estimate(point, point, point)
    several = [matrix for matrix in wins if len(matrix) > 1]
    alone = [matrix.item() for matrix in wins if len(matrix) == 1]

    def of_seeds(*seeds: np.ndarray, axis: int = -1) -> np.ndarray:
        shares = [
            matrix[chosen[..., :, None], chosen[..., None, :]].mean((-2, -1))
            for matrix, chosen in zip(several, (np.asarray(seed, int) for seed in seeds), strict=True)
        ]
        return np.mean([*shares, *(np.full_like(shares[0], share) for share in alone)], axis=0)

    low, high = _interval(tuple(np.arange(len(matrix)) for matrix in several), of_seeds, batch=100)
    return Estimate(point, float(low), float(high))


def performance_profile(scores: Sequence[float], thresholds: np.ndarray) -> list[Estimate]:
    """Share of the scores above each threshold, with pointwise intervals (Agarwal et al. 2021, arXiv 2108.13264).

    Args:
        scores: One per seed.
        thresholds: (T) increasing.

    Returns:
        T estimates.
    """
    above = (np.asarray(scores, dtype=float) > thresholds[:, None]).astype(float)
    if above.shape[-1] == 1:
        return [Estimate(share, share, share) for share in above[:, 0].tolist()]
    low, high = _interval((above,), lambda sample, axis=-1: sample.mean(axis=axis))
    return [Estimate(*map(float, of)) for of in zip(above.mean(-1), low, high, strict=True)]


def reached_by_half(values: Sequence[float]) -> Estimate:
    """The value at which half of all had got there, with the interval of order statistics (binomial, exact).

    Args:
        values: What each needed; infinite for those that never got there.

    Returns:
        The estimate; infinite where fewer than half got there, or where the interval is open.
    """
    array = np.asarray(values, dtype=float)
    interval = stats.quantile_test(array, q=0.0, p=0.5).confidence_interval(CONFIDENCE)
    low, high = float(interval.low), float(interval.high)
    point = float(np.quantile(array, 0.5, method="inverted_cdf"))
    return Estimate(point, -math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high)


def paired_difference(values: dict[int, float], reference: dict[int, float]) -> Estimate | None:
    """Mean difference over the seeds that both have, since both met the same instances; None without such seeds."""
    seeds = sorted(values.keys() & reference.keys())
    return estimate([values[seed] - reference[seed] for seed in seeds]) if seeds else None


def _interval(samples: tuple[np.ndarray, ...], statistic: Callable[..., np.ndarray], batch: int | None = None) -> Any:
    """Of the percentile bootstrap, each sample resampled by itself, always with the same random numbers."""
    return stats.bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        axis=-1,
        vectorized=True,
        batch=batch,
        rng=np.random.default_rng(0),
    ).confidence_interval
