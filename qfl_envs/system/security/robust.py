"""How a server merges updates some of which may be hostile, in many systems at once.

All rules but the clipping ones treat every update alike, whatever its data points: a weight is a claim too. Each stands
a number of attackers that is known before, as a function of the updates that arrive; where more are to be feared, the
round is declared failed instead of merging what the rule cannot vouch for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qfl_envs.fields import reject_unknown
from qfl_envs.system.learning.aggregation import Updates

WEISZFELD_STEPS, WEISZFELD_SMOOTHING = 32, 1e-8
CLIPPING_STEPS = 3


@dataclass(frozen=True)
class Gathered:
    """Updates of many systems as one array.

    Attributes:
        change: (E, N, P), zero where nothing arrived.
        weight: (E, N), zero where nothing arrived.
        heard: (E, N) bool.
    """

    change: np.ndarray
    weight: np.ndarray
    heard: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """(E) updates of each system."""
        return np.asarray(self.heard.sum(-1))

    def of(self, rows: np.ndarray) -> Gathered:
        """Those of some systems."""
        return Gathered(self.change[rows], self.weight[rows], self.heard[rows])


@dataclass(frozen=True)
class Merged:
    """What a rule makes of them.

    Attributes:
        update: (E, P), zero where the round failed.
        failed: (E) bool, where updates arrived and the rule does not stand as many attackers among them.
    """

    update: np.ndarray
    failed: np.ndarray


def gather(updates: Updates, weights: np.ndarray, num_systems: int) -> Gathered:
    """Updates (M) of ascending systems, with weights (M), as arrays of the most that a system has."""
    counts = np.bincount(updates.row, minlength=num_systems)
    place = np.arange(len(updates)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = num_systems, max(int(counts.max(initial=0)), 1)
    change = np.zeros((*shape, updates.change.shape[1]))
    weight, heard = np.zeros(shape), np.zeros(shape, dtype=bool)
    change[updates.row, place] = updates.change
    weight[updates.row, place] = weights
    heard[updates.row, place] = True
    return Gathered(change, weight, heard)


def tolerated(rule: str, count: np.ndarray | int) -> np.ndarray:
    """Most attackers that a rule stands among so many updates.

    Means stand none. Krum needs 2 f + 2 < n (Blanchard et al. 2017), the others more honest ones than attackers.

    Raises:
        UnknownNameError: Naming all rules.
    """
    reject_unknown([rule], RULES, "robust rule")
    number = np.asarray(count)
    if rule == "mean":
        return np.zeros_like(number)
    return np.maximum((number - (3 if rule in ("krum", "multi-krum") else 1)) // 2, 0)


def merge(rule: str, gathered: Gathered, attackers: int, clip_norm: float = 1.0) -> Merged:
    """One update per system.

    Args:
        rule: Name in :data:`RULES`.
        gathered: What arrived.
        attackers: How many of them may be hostile, f.
        clip_norm: Longest update that the clipping rules leave as it is.

    Raises:
        UnknownNameError: Naming all rules.
    """
    # a mean vouches for nothing, and is not asked to
    stands = (tolerated(rule, gathered.count) >= attackers) | (rule == "mean")
    update = RULES[rule](gathered, attackers, clip_norm)
    return Merged(np.where((stands & (gathered.count > 0))[:, None], update, 0.0), ~stands & (gathered.count > 0))


def _mean(gathered: Gathered, attackers: int, clip_norm: float) -> np.ndarray:
    """Weighted mean."""
    return _weighted(gathered.change, gathered.weight)


def _median(gathered: Gathered, attackers: int, clip_norm: float) -> np.ndarray:
    """Median of every coordinate (Yin et al. 2018)."""
    return median(gathered)


def median(gathered: Gathered) -> np.ndarray:
    """(E, P) median of every coordinate of what arrived; zero where nothing did."""
    ordered, count = _sorted(gathered), np.maximum(gathered.count, 1)
    row = np.arange(len(count))
    middle = (ordered[row, (count - 1) // 2] + ordered[row, count // 2]) / 2
    return np.where((gathered.count > 0)[:, None], middle, 0.0)


def _trimmed_mean(gathered: Gathered, attackers: int, clip_norm: float) -> np.ndarray:
    """Mean of every coordinate without its f smallest and f largest values (Yin et al. 2018)."""
    ordered, rank = _sorted(gathered), np.arange(gathered.heard.shape[1])
    kept = (rank >= attackers) & (rank < (gathered.count - attackers)[:, None])
    return _weighted(np.where(kept[..., None], ordered, 0.0), kept)


def _krum(gathered: Gathered, attackers: int, clip_norm: float) -> np.ndarray:
    """The update nearest to its neighbours (Blanchard et al. 2017)."""
    best = krum_scores(gathered, attackers).argmin(-1)
    return gathered.change[np.arange(len(best)), best]


def _multi_krum(gathered: Gathered, attackers: int, clip_norm: float) -> np.ndarray:
    """Mean of the n - f updates nearest to their neighbours (Blanchard et al. 2017)."""
    order = np.argsort(krum_scores(gathered, attackers), axis=-1, kind="stable")
    rank = np.argsort(order, axis=-1, kind="stable")
    return _weighted(gathered.change, gathered.heard & (rank < (gathered.count - attackers)[:, None]))


def krum_scores(gathered: Gathered, attackers: int) -> np.ndarray:
    """(E, N) sums of squared distances to the n - f - 2 nearest others, infinite where nothing arrived."""
    squared = (gathered.change**2).sum(-1)
    distance = squared[:, :, None] + squared[:, None, :] - 2 * gathered.change @ gathered.change.transpose(0, 2, 1)
    both = gathered.heard[:, :, None] & gathered.heard[:, None, :] & ~np.eye(gathered.heard.shape[1], dtype=bool)
    ordered = np.sort(np.where(both, np.maximum(distance, 0.0), np.inf), axis=-1)
    near = np.maximum(gathered.count - attackers - 2, 1)[:, None, None]
    counted = np.arange(ordered.shape[-1]) < near
    return np.where(gathered.heard, np.where(counted, ordered, 0.0).sum(-1), np.inf)


def _geometric_median(gathered: Gathered, attackers: int, clip_norm: float) -> np.ndarray:
    """The point of least total distance, by smoothed Weiszfeld steps (Pillutla et al. 2022)."""
    point = _weighted(gathered.change, gathered.heard)
    for _ in range(WEISZFELD_STEPS):
        distance = np.linalg.norm(gathered.change - point[:, None], axis=-1)
        point = _weighted(gathered.change, gathered.heard / np.maximum(distance, WEISZFELD_SMOOTHING))
    return point


def _centred_clipping(gathered: Gathered, attackers: int, clip_norm: float) -> np.ndarray:
    """A centre that moves by clipped steps towards the updates (Karimireddy et al. 2021), from their median."""
    centre = median(gathered)
    for _ in range(CLIPPING_STEPS):
        centre = centre + _weighted(clipped(gathered.change - centre[:, None], clip_norm), gathered.heard)
    return centre


def _norm_clipping(gathered: Gathered, attackers: int, clip_norm: float) -> np.ndarray:
    """Weighted mean of updates no longer than a bound (Sun et al. 2019)."""
    return _weighted(clipped(gathered.change, clip_norm), gathered.weight)


def clipped(change: np.ndarray, clip_norm: float) -> np.ndarray:
    """Updates (..., P), shortened to a length where they are longer."""
    norm = np.linalg.norm(change, axis=-1, keepdims=True)
    return change * np.minimum(clip_norm / np.maximum(norm, 1e-300), 1.0)


def _sorted(gathered: Gathered) -> np.ndarray:
    """(E, N, P) values of every coordinate in ascending order, what did not arrive last."""
    return np.sort(np.where(gathered.heard[..., None], gathered.change, np.inf), axis=1)


def _weighted(change: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(E, P) means of (E, N, P) with weights (E, N), zero where there are none."""
    total = weight.sum(-1, keepdims=True)
    return np.einsum("enp,en->ep", change, weight / np.maximum(total, 1e-300))


Rule = Callable[[Gathered, int, float], np.ndarray]
RULES: dict[str, Rule] = {
    "mean": _mean,
    "median": _median,
    "trimmed-mean": _trimmed_mean,
    "krum": _krum,
    "multi-krum": _multi_krum,
    "geometric-median": _geometric_median,
    "centred-clipping": _centred_clipping,
    "norm-clipping": _norm_clipping,
}
